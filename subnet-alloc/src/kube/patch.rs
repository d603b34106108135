//! What the daemon writes to its own Node, as strategic merge patches of the subresource `status`: the only one that it needs
//! a right to.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::annotations::{
    Annotations, BACKEND, DATA, DATA_V6, MANAGED, UNDERLAY, UNDERLAY_V6, WRITTEN,
};
use super::node::Overwrites;
use crate::lease::LeaseAttrs;

impl Annotations {
    /// Publishes what a node says about itself. A family without an address leaves no annotation behind.
    pub fn publish(&self, attrs: &LeaseAttrs, overwrites: Overwrites) -> Value {
        let v4 = attrs.underlay_v4.map(|own| overwrites.v4.unwrap_or(own));
        let v6 = attrs.underlay_v6.map(|own| overwrites.v6.unwrap_or(own));
        let mut all = Map::new();
        let mut put = |which: &str, value: Value| all.insert(self.name(which), value);
        put(MANAGED, json!("true"));
        put(BACKEND, json!(attrs.backend));
        put(UNDERLAY, json!(v4));
        put(
            DATA,
            v4.map_or(Value::Null, |_| text(attrs.data.as_deref())),
        );
        put(UNDERLAY_V6, json!(v6));
        put(
            DATA_V6,
            v6.map_or(Value::Null, |_| text(attrs.data_v6.as_deref())),
        );
        annotated(&all)
    }

    /// Takes back all that was published: other nodes send nothing there from then on.
    pub fn release(&self) -> Value {
        let all = WRITTEN.into_iter();
        annotated(&all.map(|which| (self.name(which), Value::Null)).collect())
    }
}

/// Says that the node's network is there, at this time (RFC 3339): clouds taint a node until somebody does.
pub(super) fn network_available(now: &str) -> Value {
    json!({ "status": { "conditions": [{
        "type": "NetworkUnavailable",
        "status": "False",
        "reason": "TwillIsUp",
        "message": "Twill is running on this node",
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }] } })
}

/// Backends without data have `null` there, as flannel writes it.
fn text(data: Option<&RawValue>) -> Value {
    json!(data.map_or("null", RawValue::get))
}

/// A value that is null takes the annotation away.
fn annotated(all: &Map<String, Value>) -> Value {
    json!({ "metadata": { "annotations": all } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::{NodeObject, Reading};

    const VXLAN: &str = r#"{"PublicIP":"10.99.0.2","PublicIPv6":"fd99::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"},"BackendV6Data":{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}}"#;

    fn attrs(text: &str) -> LeaseAttrs {
        LeaseAttrs::from_json(text.as_bytes()).expect(text)
    }

    fn annotations(attrs: &LeaseAttrs, overwrites: Overwrites) -> Value {
        let patch = Annotations::default().publish(attrs, overwrites);
        patch["metadata"]["annotations"].clone()
    }

    /// A dual-stack network with these annotations.
    fn reading(names: &Annotations) -> Reading {
        let names = names.clone();
        Reading {
            names,
            v4: true,
            v6: true,
        }
    }

    /// A Node that somebody reads after the API server has merged a patch into its annotations.
    fn merged(patch: &Value) -> NodeObject {
        let mut all = patch["metadata"]["annotations"].clone();
        let map = all.as_object_mut().expect("annotations are an object");
        map.retain(|_, value| !value.is_null());
        let object = json!({
            "metadata": { "name": "a", "resourceVersion": "7", "annotations": all },
            "spec": { "podCIDRs": ["10.244.7.0/24", "fd00:244:7::/64"] },
        });
        NodeObject::read(object.to_string().as_bytes()).expect("it is a Node")
    }

    #[test]
    fn a_lease_is_published_as_flannel_does() {
        let vxlan = annotations(&attrs(VXLAN), Overwrites::default());
        let expected = json!({
            "flannel.alpha.coreos.com/kube-subnet-manager": "true",
            "flannel.alpha.coreos.com/backend-type": "vxlan",
            "flannel.alpha.coreos.com/backend-data": r#"{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"}"#,
            "flannel.alpha.coreos.com/backend-v6-data": r#"{"VNI":1,"VtepMAC":"8e:0b:ad:ce:b3:2c"}"#,
            "flannel.alpha.coreos.com/public-ip": "10.99.0.2",
            "flannel.alpha.coreos.com/public-ipv6": "fd99::2",
        });
        assert_eq!(vxlan, expected);
    }

    #[test]
    fn a_backend_without_data_says_null_and_a_family_that_is_not_there_is_taken_away() {
        let host_gw = r#"{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"host-gw"}"#;
        let all = annotations(&attrs(host_gw), Overwrites::default());
        assert_eq!(all["flannel.alpha.coreos.com/backend-data"], "null");
        for which in [DATA_V6, UNDERLAY_V6] {
            let name = Annotations::default().name(which);
            assert_eq!(all.get(&name), Some(&Value::Null), "{which}");
        }
    }

    #[test]
    fn what_is_published_is_what_others_read() {
        for names in ["flannel.alpha.coreos.com", "example.org/blue"] {
            let names = Annotations::new(names).expect(names);
            let patch = names.publish(&attrs(VXLAN), Overwrites::default());
            let lease = merged(&patch).lease(&reading(&names));
            let mut read = lease.expect("it is good").expect("it is there").attrs;
            assert_eq!(read.node.take().as_deref(), Some("a"));
            assert_eq!(read, attrs(VXLAN));
        }
    }

    #[test]
    fn an_address_that_an_operator_overwrites_is_the_one_that_others_are_told() {
        let overwrites = Overwrites {
            v4: "192.0.2.7".parse().ok(),
            v6: None,
        };
        let all = annotations(&attrs(VXLAN), overwrites);
        assert_eq!(all["flannel.alpha.coreos.com/public-ip"], "192.0.2.7");
        assert_eq!(all["flannel.alpha.coreos.com/public-ipv6"], "fd99::2");
    }

    #[test]
    fn a_release_leaves_nothing_that_others_read() {
        let names = Annotations::default();
        let patch = names.release();
        assert_eq!(merged(&patch).lease(&reading(&names)), Ok(None));
        let published = names.publish(&attrs(VXLAN), Overwrites::default());
        let keys = |patch: &Value| -> Vec<String> {
            let all = patch["metadata"]["annotations"].as_object();
            all.into_iter()
                .flat_map(|all| all.keys().cloned())
                .collect()
        };
        assert_eq!(keys(&patch), keys(&published));
    }
}
