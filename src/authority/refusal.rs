//! Why an order is not carried out: one code for each reason, the same in the answer, the log and the documentation.

macro_rules! refusals {
    ($($name:ident $code:literal $meaning:literal)*) => {
        /// Why an order was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
        pub enum Refusal {
            $(#[doc = $meaning] #[error($meaning)] $name,)*
        }

        impl Refusal {
            /// Every refusal.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its stable name.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

refusals! {
    NobodyKnown "nobody-known" "this host knows nobody who could sign an order"
    HostUnknown "host-unknown" "the number of this host could not be read"
    OrderTooLong "order-too-long" "the order is longer than any order"
    OrderMalformed "order-malformed" "it is not an order"
    OrderNotCanonical "order-not-canonical" "the order is not written in its canonical form"
    OrderVersion "order-version" "the order is of another version"
    SignatureTooLong "signature-too-long" "the signature is longer than any signature"
    SignatureMalformed "signature-malformed" "it is not an SSH signature"
    SignatureNotCanonical "signature-not-canonical" "the signature is not written in its canonical form"
    SignatureVersion "signature-version" "the signature is of another version of SSHSIG than 1"
    SignatureReserved "signature-reserved" "the reserved field of the signature is not empty"
    SignatureAlgorithm "signature-algorithm" "the signature is of a kind that is not taken"
    UnknownKey "unknown-key" "the key is nobody's whom this host knows"
    WrongNamespace "wrong-namespace" "the signature was made for another purpose"
    SecurityKeyFlags "security-key-flags" "the security key says something that is not understood"
    NotPresent "not-present" "nobody touched the security key"
    NotVerified "not-verified" "the security key was not given its PIN"
    BadSignature "bad-signature" "the signature is not of this order and this key"
    PersonNotYet "person-not-yet" "the person's time has not begun"
    PersonExpired "person-expired" "the person's time is over"
    KeyNotYet "key-not-yet" "the key's time has not begun"
    KeyExpired "key-expired" "the key's time is over"
    NoRole "no-role" "the person may not order this"
    WrongHost "wrong-host" "the order is for another host"
    WrongBoot "wrong-boot" "the order was for an earlier boot of this host, or names none"
    BadWindow "bad-window" "the order's time ends before it begins, or is longer than one may be"
    NotYet "not-yet" "the order's time has not begun"
    Expired "expired" "the order's time is over"
    Spent "spent" "the order was carried out already"
    Void "void" "the list of spent orders was lost, and this order is older than that"
    UnknownChallenge "unknown-challenge" "the order answers no question of this daemon that is open"
    WrongHead "wrong-head" "the order names another head of the audit log than was given with its challenge"
    PolicyChanged "policy-changed" "the policy is not the one for which the order was made"
    ListFull "list-full" "too many orders are on the list of those that must not come twice"
}
