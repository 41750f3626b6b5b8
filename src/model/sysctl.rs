//! Names of sysctls.

/// The name of a sysctl of one link, such as `net.ipv6.conf.eth0.accept_dad`. `family` is `ipv4` or `ipv6`, and `all` and
/// `default` stand in the place of links. A dot in the link's own name is written `/`, as sysctl(8) does.
#[must_use]
pub fn of_link(family: &str, link: &str, key: &str) -> String {
    format!("net.{family}.conf.{}.{key}", link.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_of_the_link_is_none_of_the_name() {
        assert_eq!(of_link("ipv6", "eth0", "mtu"), "net.ipv6.conf.eth0.mtu");
        assert_eq!(
            of_link("ipv4", "eth0.100", "rp_filter"),
            "net.ipv4.conf.eth0/100.rp_filter"
        );
    }
}
