//! What happens to a request before the first branch: validation, its route, its targets (RFC 3261 §16.3 to §16.5).
use crate::event::CommandError;
use crate::flow::FLOW_HOST;
use crate::proxy::route::{Path, Route, names_us, preprocess};
use crate::proxy::{OwnNames, ProxyOrder, Rejection, forward, targets, validate};
use bytes::Bytes;
use sip::{Address, HeaderName};
use smallvec::SmallVec;
use std::sync::Arc;

/// A target, its q in thousandths, and the way to it.
pub(super) struct Prospect {
    pub(super) target: Arc<str>,
    pub(super) q: u16,
    pub(super) path: Path,
}

/// A request that may be proxied: its route, and its targets with the way to each.
pub(super) struct Prepared {
    pub(super) route: Route,
    pub(super) paths: SmallVec<[Prospect; 1]>,
}

/// The Route values that the application gave, in order.
fn given_routes(headers: &[(Bytes, Bytes)]) -> Result<Vec<String>, CommandError> {
    let fields = headers
        .iter()
        .filter(|(name, _)| HeaderName::from_bytes(name) == HeaderName::Route);
    let mut routes = Vec::new();
    for value in fields.flat_map(|(_, field)| sip::list_values(field)) {
        let text = String::from_utf8_lossy(&value).into_owned();
        let uri = Address::parse(&text).ok().map(|route| route.uri_text);
        if !uri.is_some_and(targets::is_routable) {
            return Err(CommandError::InvalidHeader(format!(
                "Route: {text:?} is no route: give a sip or sips URI in angle brackets, <sip:proxy.example;lr>"
            )));
        }
        routes.push(text);
    }
    Ok(routes)
}

/// RFC 3261 §16.3 to §16.5: validates a request, preprocesses its route, and finds the way to each target.
pub(super) fn prepare(order: &ProxyOrder, own: &dyn OwnNames) -> Result<Prepared, Rejection> {
    let refused = |error: CommandError| Rejection {
        status: order.drachtio_compatible.then_some(500),
        header: None,
        error,
    };
    validate::check(&order.request, own)?;
    validate::check_path(&order.request, &order.options)?;
    forward::check_headers(&order.headers).map_err(refused)?;
    let mut route = preprocess(&order.request, own);
    if route.passage.is_forged && !route.passage.is_allowed() {
        // RFC 5626 §5.3: somebody made the token up, or took it from another call.
        return Err(Rejection {
            status: Some(403),
            header: None,
            error: CommandError::Rejected(403),
        });
    }
    // drachtio-server ignores an application's Route.
    if !order.drachtio_compatible {
        let given = given_routes(&order.headers).map_err(refused)?;
        route.add(given, &order.request, own);
    }
    let mut paths: SmallVec<[Prospect; 1]> = SmallVec::new();
    if order.targets.is_empty() {
        let path = Path::onward(&route, &route.request_uri, own);
        if !targets::is_routable(&path.next_hop) {
            let error = CommandError::InvalidUri(format!(
                "{} cannot be routed; name a target",
                path.next_hop
            ));
            return Err(Rejection {
                status: Some(416),
                header: None,
                error,
            });
        }
        paths.push(Prospect {
            target: Arc::clone(&route.request_uri),
            q: targets::MOST,
            path,
        });
        return Ok(Prepared { route, paths });
    }
    let keeps_uri =
        order.drachtio_compatible && !order.request.uri().is_ok_and(|uri| names_us(&uri, own));
    for target in &order.targets {
        let targets::Weighted { uri, q, flow } = targets::weighted(target).map_err(refused)?;
        let target: Arc<str> = Arc::from(uri);
        if paths
            .iter()
            .any(|other| targets::same(&other.target, &target))
        {
            continue;
        }
        if paths.len() >= targets::MOST_TARGETS {
            return Err(refused(CommandError::Limit(
                "128 targets of one proxied request: name only those that are to be tried",
            )));
        }
        let path = if let Some(flow) = flow {
            // The engine reads the token when it sends.
            let hop = format!("sip:{flow}@{FLOW_HOST};lr");
            Path::by(&route, Arc::clone(&target), Arc::from(hop))
        } else if keeps_uri {
            Path::by(&route, Arc::clone(&route.request_uri), Arc::clone(&target))
        } else if order.drachtio_compatible {
            Path::by(&route, Arc::clone(&target), Arc::clone(&target))
        } else {
            Path::onward(&route, &target, own)
        };
        if !targets::is_routable(&path.next_hop) {
            return Err(refused(CommandError::InvalidUri(format!(
                "{} cannot be routed: not a sip or sips URI",
                path.next_hop
            ))));
        }
        paths.push(Prospect { target, q, path });
    }
    Ok(Prepared { route, paths })
}
