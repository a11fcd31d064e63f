//! What a machine of an EC2 type has, which Slurm must know before there is one. The table is `templates/instances.txt`, whose head
//! names its source; what only the machine knows, such as its devices, is no part of it.

use std::fmt;

/// The table: a line for each type.
const TABLE: &str = include_str!("../../../templates/instances.txt");

/// The processors that a program must be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Architecture {
    /// Intel and AMD.
    #[strum(serialize = "x86_64")]
    X86,
    /// Graviton.
    #[strum(serialize = "arm64")]
    Arm,
}

/// The GPUs of a machine, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    /// The kind as a user names it to Slurm: `a10g`, `v100`.
    pub model: String,
    /// How many.
    pub count: u32,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// Its name, such as `c6i.large`.
    pub name: String,
    /// Its processors.
    pub architecture: Architecture,
    /// What Linux calls processors: cores times threads.
    pub vcpus: u32,
    /// Cores.
    pub cores: u32,
    /// Threads of a core, 1 or 2.
    pub threads: u32,
    /// Memory as EC2 states it, in MiB. The kernel reports less.
    pub memory_mib: u64,
    /// GPUs, if it has any.
    pub gpus: Option<Gpus>,
    /// Whether a cluster placement group takes it.
    pub in_placement_group: bool,
}

impl InstanceType {
    /// The type of this name; `None` where the table has none.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|known| known.name == name)
    }

    /// All types of the table. A line that is none of a type is left out; the tests show that there is no such line.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(Self::read)
    }

    /// What every machine of a group has that may be any of these types: the least of each figure. GPUs only where all have them, of the
    /// first one's model. `None` where there is no type.
    pub fn least_of(types: &[Self]) -> Option<Self> {
        let mut least = types.first()?.clone();
        for other in &types[1..] {
            least.cores = least.cores.min(other.cores);
            least.threads = least.threads.min(other.threads);
            least.memory_mib = least.memory_mib.min(other.memory_mib);
            least.gpus = least.gpus.zip(other.gpus.as_ref()).map(|(gpus, other)| Gpus { count: gpus.count.min(other.count), ..gpus });
            least.in_placement_group &= other.in_placement_group;
        }
        // Slurm refuses a node whose figures contradict each other.
        least.vcpus = least.cores * least.threads;
        Some(least)
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, architecture, vcpus, cores, threads, memory, gpus, placement] = words.as_slice() else { return None };
        let gpus = match *gpus {
            "-" => None,
            gpus => {
                let (model, count) = gpus.split_once(':')?;
                Some(Gpus { model: model.to_owned(), count: count.parse().ok()? })
            }
        };
        Some(Self {
            name: (*name).to_owned(),
            architecture: architecture.parse().ok()?,
            vcpus: vcpus.parse().ok()?,
            cores: cores.parse().ok()?,
            threads: threads.parse().ok()?,
            memory_mib: memory.parse().ok()?,
            gpus,
            in_placement_group: *placement == "cluster",
        })
    }

    /// Slurm's `RealMemory` in MiB. A node that reports less than this is drained, so it must be below what any kernel reports: 95 %,
    /// as ParallelCluster has it (its `SchedulableMemory`), and at least 512 MiB less, because on small machines the firmware's and the
    /// kernel's own part is more than 5 %; but never below half.
    pub fn real_memory_mib(&self) -> u64 {
        let half = self.memory_mib / 2;
        (self.memory_mib * 95 / 100).min(self.memory_mib.saturating_sub(512).max(half)).max(1)
    }
}

impl fmt::Display for InstanceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use cf_core::instance_type::{NODES, type_of};
    use cf_core::template::default_template;

    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_type_and_no_type_has_two() {
        let lines: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(InstanceType::all().count(), lines.len());
        assert!(lines.len() > 400);
        for known in InstanceType::all() {
            assert_eq!(known.cores * known.threads, known.vcpus, "{known}");
            assert_eq!(InstanceType::find(&known.name), Some(known));
        }
        assert_eq!(InstanceType::find("c4"), None);
    }

    #[test]
    fn every_type_that_the_template_offers_is_known_as_its_value_describes_it() {
        let offered = NODES.iter().flat_map(|node| &default_template().parameters[node.other].allowed_values);
        for value in offered {
            let known = InstanceType::find(type_of(value)).unwrap_or_else(|| panic!("{value}"));
            let figure = |unit: &str| value.split('-').skip(1).find_map(|part| part.strip_suffix(unit)?.parse::<f64>().ok());
            let Some(processors) = figure("C") else { continue };
            assert!((f64::from(known.vcpus) - processors).abs() < 0.1, "{value}");
            assert_eq!(
                known.gpus.map_or(0, |gpus| gpus.count),
                figure("GPU").map_or(0, |count| format!("{count}").parse().unwrap()),
                "{value}"
            );
            let gibibytes = figure("GB").unwrap();
            let described: u64 = format!("{:.0}", gibibytes * 1024.0).parse().unwrap();
            assert_eq!(known.memory_mib, described, "{value}");
        }
    }

    #[test]
    fn slurm_is_promised_less_memory_than_any_kernel_reports() {
        let promised = |name: &str| InstanceType::find(name).unwrap().real_memory_mib();
        // What `free -m` shows on these: 3,837 and 7,810 MiB, and 195,000 of an m5.12xlarge.
        assert_eq!(promised("t3.medium"), 3_584);
        assert_eq!(promised("t3.large"), 7_680);
        assert_eq!(promised("m5.12xlarge"), 186_777);
        assert_eq!(promised("t3a.nano"), 256);
    }

    #[test]
    fn of_several_types_slurm_is_promised_what_all_have() {
        let least = |names: &[&str]| {
            InstanceType::least_of(&names.iter().map(|name| InstanceType::find(name).unwrap()).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(least(&["c6i.2xlarge"]), InstanceType::find("c6i.2xlarge").unwrap());
        let mixed = least(&["c6i.2xlarge", "m6i.xlarge", "c7g.2xlarge"]);
        assert_eq!((mixed.vcpus, mixed.cores, mixed.threads, mixed.memory_mib), (2, 2, 1, 16_384));
        assert_eq!(least(&["g5.48xlarge", "g5.xlarge"]).gpus, Some(Gpus { model: "a10g".into(), count: 1 }));
        assert_eq!(least(&["g5.xlarge", "c6i.large"]).gpus, None);
        assert_eq!(InstanceType::least_of(&[]), None);
    }

    #[test]
    fn what_machines_differ_in_is_told() {
        let known = |name: &str| InstanceType::find(name).unwrap();
        assert_eq!(known("g5.48xlarge").gpus, Some(Gpus { model: "a10g".into(), count: 8 }));
        assert_eq!((known("c7g.large").architecture, known("c6i.large").architecture), (Architecture::Arm, Architecture::X86));
        assert!(known("c6i.large").in_placement_group && !known("t3.large").in_placement_group);
        assert_eq!((known("t2.large").threads, known("t3.large").threads, known("hpc7a.12xlarge").threads), (1, 2, 1));
    }
}
