//! The kernel's extended acknowledgements, word for word as Linux 6.18 gives them.

use crate::model::change::Change;
use crate::model::effect::errno;
use crate::model::object::{Attach, Family, Route};
use crate::model::snapshot::Object;

/// The text that comes with this refusal, where there is one.
pub(super) fn of(change: &Change, code: i32) -> Option<&'static str> {
    match change {
        Change::Add(Object::Route(route)) => of_route(route, code),
        Change::Add(Object::Nexthop(nexthop)) => match code {
            errno::ENETDOWN => Some("Nexthop device is not up."),
            errno::EINVAL if !nexthop.group.is_empty() => Some("Invalid nexthop id."),
            errno::EINVAL | errno::EACCES | errno::ENETUNREACH => Some("Nexthop has invalid gateway."),
            _ => None,
        },
        Change::Add(Object::Filter(filter)) => match (filter.attach, code) {
            (Attach::Block(_), errno::EINVAL) => Some("Block of given index was not found."),
            (_, errno::EINVAL) => Some("Parent Qdisc doesn't exists."),
            (_, errno::EOPNOTSUPP) => {
                Some("This filter block is shared. Please use the block index to manipulate the filters.")
            }
            _ => None,
        },
        Change::Delete(Object::Filter(_)) if code == errno::EINVAL => {
            Some("Protocol mismatch for filter with specified priority.")
        }
        Change::Add(Object::Rule(_)) if code == errno::EINVAL => Some("Backward goto not supported."),
        Change::Add(_) | Change::Delete(_) | Change::SetLink { .. } | Change::SetSysctl(_) => None,
    }
}

fn of_route(route: &Route, code: i32) -> Option<&'static str> {
    let through = route.gateways().next().is_some();
    match (route.family, code) {
        (_, errno::EINVAL) if route.nexthop.is_some() => Some("Nexthop id does not exist."),
        (Family::V4, errno::EINVAL) if route.preferred_source.is_some() && !through => Some("Invalid prefsrc address."),
        (Family::V6, errno::EINVAL) if route.preferred_source.is_some() => Some("Invalid source address."),
        (Family::V4, errno::EINVAL | errno::EACCES | errno::ENETUNREACH) if through => {
            Some("Nexthop has invalid gateway.")
        }
        (Family::V4, errno::ENETDOWN) => Some("Device for nexthop is not up."),
        (Family::V6, errno::ENETDOWN) => Some("Nexthop device is not up."),
        _ => None,
    }
}
