//! Answers as the kernel frames them.

use super::*;

/// One message: type, flags, sequence number, payload.
fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(MESSAGE_HEADER_BYTES + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// NLMSGERR_ATTR_MSG "no way", with its NUL.
const NO_WAY: &[u8] = b"\x0b\0\x01\0no way\0\0";

fn read(datagram: &[u8]) -> Vec<Result<Answer, KernelError>> {
    messages(datagram)
        .map(|m| m.and_then(|m| acknowledgement(&m)))
        .collect()
}

#[test]
fn an_acknowledgement_is_read_whether_it_echoes_the_request_or_its_header() {
    let request = message(24, 5, 7, &[1; 12]);
    let refused = (-libc::ENETUNREACH).to_ne_bytes();
    let whole = [&refused[..], &request, NO_WAY].concat();
    let capped = [&refused[..], &request[..MESSAGE_HEADER_BYTES], NO_WAY].concat();
    let fine = [&[0; 4][..], &request[..MESSAGE_HEADER_BYTES]].concat();
    let datagram = [
        message(NLMSG_ERROR, ACK_TLVS, 7, &whole),
        message(NLMSG_ERROR, ACK_TLVS | CAPPED, 8, &capped),
        message(NLMSG_ERROR, CAPPED, 9, &capped[..20]),
        message(NLMSG_ERROR, CAPPED, 10, &fine),
    ];
    let rejection = |message: Option<&str>| {
        Err(Rejection {
            errno: libc::ENETUNREACH,
            message: message.map(str::to_owned),
        })
    };
    let answers: Vec<Answer> = read(&datagram.concat()).into_iter().map(Result::unwrap).collect();
    assert_eq!(
        answers,
        [
            rejection(Some("no way")),
            rejection(Some("no way")),
            rejection(None),
            Ok(())
        ]
    );
}

#[test]
fn what_is_no_whole_message_is_an_error_and_ends_the_datagram() {
    let good = message(NLMSG_ERROR, CAPPED, 1, &[0; 20]);
    let mut long = good.clone();
    long[0] += 40;
    let answers = read(&[good, long].concat());
    assert!(
        matches!(answers[..], [Ok(Ok(())), Err(KernelError::Undecodable { .. })]),
        "{answers:?}"
    );
    assert!(matches!(read(&[0; 7])[..], [Err(KernelError::Undecodable { .. })]));
    let positive = message(NLMSG_ERROR, 0, 1, &5_i32.to_ne_bytes());
    assert!(
        matches!(read(&positive)[..], [Err(KernelError::Undecodable { .. })]),
        "errors are negative"
    );
}

#[test]
fn the_end_of_a_list_may_be_an_error() {
    let end = |payload: &[u8]| {
        let bytes = message(NLMSG_DONE, ACK_TLVS, 1, payload);
        let message = NetlinkBuffer::new_checked(&bytes[..]).unwrap();
        done("routes", &message)
    };
    assert!(end(&[0; 4]).is_ok());
    let broken_off = [&(-libc::ENOMEM).to_ne_bytes()[..], NO_WAY].concat();
    let error = end(&broken_off).unwrap_err().to_string();
    assert_eq!(
        error,
        "the kernel refused to list routes: errno 12, the kernel says \"no way\""
    );
    assert!(end(&[]).is_err(), "an end that says nothing is none");
}
