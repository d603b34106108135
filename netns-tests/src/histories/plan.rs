//! From a seed to a plan.

use std::time::Duration;

/// Daemons in one run.
pub const NODES: usize = 5;
/// Runs that share one etcd and its faults: seeds from a multiple of this on.
pub const RUNS_AT_ONCE: u64 = 25;

/// How long faults begin.
pub(super) const SPAN: Duration = Duration::from_secs(10);
/// `--lease-ttl`: the shortest that etcd grants.
pub(super) const TTL: Duration = Duration::from_secs(2);

/// A fault of one daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeFault {
    /// kill -9; started again at the end.
    Kill,
    /// SIGSTOP, SIGCONT at the end.
    Freeze,
    /// No packet between it and etcd.
    CutOff,
}

/// A fault of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EtcdFault {
    /// kill -9; started again at the end.
    Restart,
    /// SIGSTOP, SIGCONT at the end.
    Freeze,
}

/// When a fault begins and how long it lasts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spell<F> {
    pub(super) fault: F,
    pub(super) at: Duration,
    pub(super) lasting: Duration,
}

/// What happens in one run, besides what happens to etcd.
#[derive(Debug)]
pub(super) struct RunPlan {
    /// Blocks in the pool: fewer than nodes in some runs.
    pub(super) blocks: u8,
    /// The first node has a reservation.
    pub(super) is_reserved: bool,
    /// When the network config is rewritten with smaller blocks, if it is.
    pub(super) relength: Option<Duration>,
    /// The faults of each node, one after the other.
    pub(super) nodes: Vec<Vec<Spell<NodeFault>>>,
}

impl RunPlan {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let relength = random.one_in(4).then(|| random.between(2_000, 8_000));
        let few = random.pick(&[3, 4, 4, 5, 6, 50]);
        // Small blocks beside large ones need room.
        let few = if relength.is_some() { few.max(5) } else { few };
        let nodes = (0..NODES).map(|_| node_faults(&mut random)).collect();
        Self {
            blocks: few,
            is_reserved: random.one_in(4),
            relength,
            nodes,
        }
    }
}

/// The faults of the etcd that a run with this seed, and all others of its heat, share.
pub(super) fn etcd_faults(seed: u64) -> Vec<Spell<EtcdFault>> {
    let mut random = Random::new(!(seed / RUNS_AT_ONCE));
    spells(&mut random, (1_500, 4_000), |random| {
        match random.pick(&[EtcdFault::Restart, EtcdFault::Freeze]) {
            EtcdFault::Restart => (EtcdFault::Restart, random.between(0, 2_500)),
            EtcdFault::Freeze => (EtcdFault::Freeze, random.between(500, 5_000)),
        }
    })
}

fn node_faults(random: &mut Random) -> Vec<Spell<NodeFault>> {
    let all = [NodeFault::Kill, NodeFault::Freeze, NodeFault::CutOff];
    spells(random, (300, 4_000), |random| {
        (random.pick(&all), random.between(100, 5_000))
    })
}

/// Faults one after the other, with pauses of this many milliseconds.
fn spells<F>(
    random: &mut Random,
    pause: (u64, u64),
    next: impl Fn(&mut Random) -> (F, Duration),
) -> Vec<Spell<F>> {
    let mut spells = Vec::new();
    let mut at = random.between(pause.0, pause.1);
    while at < SPAN {
        let (fault, lasting) = next(random);
        spells.push(Spell { fault, at, lasting });
        at += lasting + random.between(pause.0, pause.1);
    }
    spells
}

/// Steele, Lea and Flood's `SplitMix64`: any seed will do, neighbours included.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Milliseconds.
    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.next() % (most - least))
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let at = self.next() % of.len() as u64;
        of[usize::try_from(at).unwrap_or_default()]
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        let told = |seed| format!("{:?}{:?}", RunPlan::of(seed), etcd_faults(seed));
        assert_eq!(told(7), told(7));
        assert_ne!(told(7), told(8));
    }

    #[test]
    fn runs_of_one_heat_share_the_faults_of_etcd() {
        let told = |seed| format!("{:?}", etcd_faults(seed));
        assert_eq!(told(0), told(RUNS_AT_ONCE - 1));
        assert_ne!(told(0), told(RUNS_AT_ONCE));
    }

    #[test]
    fn two_hundred_seeds_have_every_fault_and_kind_of_run() {
        let plans: Vec<RunPlan> = (0..200).map(RunPlan::of).collect();
        let faults = || plans.iter().flat_map(|plan| &plan.nodes).flatten();
        for fault in [NodeFault::Kill, NodeFault::Freeze, NodeFault::CutOff] {
            assert!(faults().filter(|spell| spell.fault == fault).count() > 100);
        }
        let frozen_too_long =
            |spell: &&Spell<_>| spell.fault == NodeFault::Freeze && spell.lasting > TTL;
        assert!(faults().filter(frozen_too_long).count() > 100);
        assert!(plans.iter().any(|plan| usize::from(plan.blocks) < NODES));
        assert!(plans.iter().any(|plan| plan.is_reserved));
        assert!(plans.iter().any(|plan| plan.relength.is_some()));
        let etcd: Vec<_> = (0..200).step_by(25).flat_map(etcd_faults).collect();
        for fault in [EtcdFault::Restart, EtcdFault::Freeze] {
            assert!(etcd.iter().any(|spell| spell.fault == fault));
        }
    }
}
