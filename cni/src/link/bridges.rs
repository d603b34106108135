//! Bridges of other plugins on which this node's block is, with pods that they made: flannel's plugin leaves them behind when a
//! node changes to this one. Their pods take the whole block for neighbours, and ask on the bridge for pods of ours: the node
//! answers in their place (`ip neigh add proxy`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::ledger::Block;
use crate::netlink::{Answer, Attrs, Message, Socket, address, u32_at, wire::*};
use crate::spec::CniError;
use crate::sysctl;

use super::plan;

/// Has the node answer for a pod with these addresses wherever parts of these blocks are.
pub(crate) fn answer_for(
    pod: &[IpAddr],
    blocks: &[Block],
    host: &mut Socket,
) -> Result<(), CniError> {
    for (index, own, segment) in segments_with(pod, host)? {
        if !blocks.iter().any(|block| is_within(segment, block)) {
            continue;
        }
        let Some(link) = host.link_at(index)? else {
            continue;
        };
        sysctl::answer_for_others(&link.name, own)?;
        if let Some(refusal) = host.execute(&[plan::answer(&link, own)])? {
            return Err(refusal.into());
        }
    }
    Ok(())
}

/// The pod with these addresses is gone. Without it nobody is answered anyway.
pub(crate) fn forget(pod: &[IpAddr], host: &mut Socket) -> Result<(), CniError> {
    for (index, own, _) in segments_with(pod, host)? {
        match host.execute(&[plan::no_answer(index, own)])? {
            Some(refusal) if !refusal.is(libc::ENOENT) && !refusal.is(libc::ENODEV) => {
                return Err(refusal.into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_within(segment: IpNetwork, block: &Block) -> bool {
    let block = block.network();
    block.contains(segment.ip()) && segment.prefix() >= block.prefix()
}

/// Links whose neighbours include one of these addresses, by their numbers.
fn segments_with(
    pod: &[IpAddr],
    host: &mut Socket,
) -> Result<Vec<(u32, IpAddr, IpNetwork)>, CniError> {
    let mut question = Message::new(RTM_GETADDR, 0, "to list addresses");
    question.put(&[0; 8]);
    let segments = host.dump(&question, segment)?.into_iter();
    Ok(segments
        .filter_map(|(index, segment)| {
            let own = pod.iter().find(|own| segment.contains(**own))?;
            Some((index, *own, segment))
        })
        .collect())
}

fn segment(answer: &Answer<'_>) -> Option<(u32, IpNetwork)> {
    let payload = answer.payload;
    let (length, index) = (*payload.get(1)?, u32_at(payload, 4)?);
    let mut attrs = Attrs(payload.get(8..)?);
    let (_, value) = attrs.find(|(kind, _)| *kind == IFA_ADDRESS)?;
    let address = address(value)?;
    let network = IpNetwork::new(address, length).ok()?;
    (length < host_length(address)).then_some((index, network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_with_the_block_or_a_part_of_it_counts_and_a_wider_network_does_not() {
        let block = Block::of_gateway("10.244.72.1/24".parse().unwrap());
        let within = |text: &str| is_within(text.parse().unwrap(), &block);
        assert!(within("10.244.72.1/24") && within("10.244.72.129/25"));
        assert!(!within("10.244.72.1/16") && !within("10.99.0.1/24") && !within("fd00::1/64"));
    }
}
