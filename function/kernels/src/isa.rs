//! Which vector instructions are used.

use std::{fmt, str::FromStr};

#[cfg(target_arch = "aarch64")]
use crate::{quantized::Long, simd::neon::Neon};
use crate::{
    quantized::{Integers, Plain},
    simd::{Simd, portable::Portable},
    threads,
};
#[cfg(target_arch = "x86_64")]
use crate::{
    quantized::{Vnni, Wide},
    simd::{avx2::Avx2, avx512::Avx512},
};

/// A set of vector instructions that this processor has.
///
/// Can only be had from [`Isa::available`], from [`Isa::best`] and by its name, so holding one proves that the
/// processor has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

/// All names, best first.
const NAMES: [&str; 4] = ["avx512", "avx2", "neon", "portable"];

impl Isa {
    /// Those that this processor has, best first.
    pub fn available() -> Vec<Self> {
        let named = NAMES.into_iter().map(str::parse);
        named.filter_map(Result::ok).collect()
    }

    /// The best that this processor has.
    pub fn best() -> Self {
        Self::available()
            .first()
            .copied()
            .unwrap_or(Self(Set::Portable))
    }

    /// Its name: `avx512`, `avx2`, `neon` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            Set::Portable => "portable",
        }
    }

    /// Whether networks of 8-bit integers run faster than those of floats: the set has instructions for
    /// sums of products of bytes.
    pub fn fast_integers(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => has_vnni(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => false,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => false,
            Set::Portable => false,
        }
    }

    /// The most blocks of output channels that a tile of a convolution covers.
    pub(crate) fn most_blocks(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => Avx512::MOST_BLOCKS,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Avx2::MOST_BLOCKS,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => Neon::MOST_BLOCKS,
            Set::Portable => Portable::MOST_BLOCKS,
        }
    }

    /// Runs one task, compiled for this set.
    pub(crate) fn run<T: Task>(self, task: &T, index: usize) {
        match self.0 {
            // SAFETY: there is no `Isa` of a set that the processor lacks.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { run_avx512(task, index) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { run_avx2(task, index) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { run_neon(task, index) },
            Set::Portable => task.run::<Portable>(index),
        }
    }

    /// Of the kernels for integers, the most blocks of output channels that a tile covers, and whether
    /// weights are packed wide.
    pub(crate) fn integers(self) -> (usize, bool) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 if has_vnni() => (Vnni::MOST_BLOCKS, Vnni::WIDE),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx2 => (Wide::MOST_BLOCKS, Wide::WIDE),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => (Long::MOST_BLOCKS, Long::WIDE),
            Set::Portable => (Plain::MOST_BLOCKS, Plain::WIDE),
        }
    }

    /// Runs one task in integers, compiled for this set.
    pub(crate) fn run_integers<T: IntegerTask>(self, task: &T, index: usize) {
        match self.0 {
            // SAFETY: the processor has the set, and this extension of it.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 if has_vnni() => unsafe { run_vnni(task, index) },
            // SAFETY: there is no `Isa` of a set that the processor lacks, and AVX-512 has AVX2 in it.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx2 => unsafe { run_wide(task, index) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Set::Neon => unsafe { run_long(task, index) },
            Set::Portable => task.run::<Plain>(index),
        }
    }

    /// Runs tasks in integers, as [`run_all`](Self::run_all).
    pub(crate) fn run_all_integers<T: IntegerTask>(self, count: usize, task: &T) {
        threads::for_each(count, |index| self.run_integers(task, index));
    }

    /// Runs tasks `0..count` on the threads of the current pool, in any order.
    pub(crate) fn run_all<T: Task>(self, count: usize, task: &T) {
        threads::for_each(count, |index| self.run(task, index));
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a set of instructions cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// There are no kernels of this name.
    #[error("no kernels are called {name}, only {}", NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The processor lacks the instructions.
    #[error("this processor cannot run {name}, only {}", names())]
    Missing {
        /// What was asked for.
        name: &'static str,
    },
}

fn names() -> String {
    let names: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
    names.join(", ")
}

/// By its [name](Isa::name).
impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        let (set, there) = match name {
            #[cfg(target_arch = "x86_64")]
            "avx512" => (
                Set::Avx512,
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            ),
            #[cfg(target_arch = "x86_64")]
            "avx2" => (
                Set::Avx2,
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            ),
            #[cfg(target_arch = "aarch64")]
            "neon" => (Set::Neon, std::arch::is_aarch64_feature_detected!("neon")),
            "portable" => (Set::Portable, true),
            _ => {
                let known = NAMES.into_iter().find(|known| *known == name);
                let unknown = || IsaError::Unknown {
                    name: name.to_owned(),
                };
                return Err(known.map_or_else(unknown, |name| IsaError::Missing { name }));
            }
        };
        if there {
            Ok(Self(set))
        } else {
            let name = Self(set).name();
            Err(IsaError::Missing { name })
        }
    }
}

/// Work in independent parts, written for any set of instructions.
pub(crate) trait Task: Sync {
    /// Does one part. Marked `#[inline(always)]`, as is all that it calls, so that it is compiled with
    /// the set's instructions.
    fn run<S: Simd>(&self, index: usize);
}

/// As [`Task`], in integers.
pub(crate) trait IntegerTask: Sync {
    /// Does one part, as [`Task::run`].
    fn run<I: Integers>(&self, index: usize);
}

/// Whether AVX-512 comes with what the kernels for integers need; if not, they use AVX2.
#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vbmi")
}

/// # Safety
/// The processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi,fma,avx2")]
unsafe fn run_vnni<T: IntegerTask>(task: &T, index: usize) {
    task.run::<Vnni>(index);
}

/// # Safety
/// The processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_wide<T: IntegerTask>(task: &T, index: usize) {
    task.run::<Wide>(index);
}

/// # Safety
/// The processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,fma,avx2")]
unsafe fn run_avx512<T: Task>(task: &T, index: usize) {
    task.run::<Avx512>(index);
}

/// # Safety
/// The processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<T: Task>(task: &T, index: usize) {
    task.run::<Avx2>(index);
}

/// # Safety
/// The processor has NEON.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn run_long<T: IntegerTask>(task: &T, index: usize) {
    task.run::<Long>(index);
}

/// # Safety
/// The processor has NEON.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn run_neon<T: Task>(task: &T, index: usize) {
    task.run::<Neon>(index);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_had_by_their_names() {
        for name in NAMES {
            match name.parse::<Isa>() {
                Ok(isa) => assert_eq!(isa.name(), name),
                Err(error) => assert_eq!(error, IsaError::Missing { name }),
            }
        }
        let name = "mmx".to_owned();
        assert_eq!(name.parse::<Isa>(), Err(IsaError::Unknown { name }));
    }

    #[test]
    fn each_kind_of_processor_has_its_own() {
        let others = if cfg!(target_arch = "aarch64") {
            assert_eq!(Isa::best().name(), "neon");
            ["avx512", "avx2"].as_slice()
        } else {
            ["neon"].as_slice()
        };
        for &name in others {
            assert_eq!(name.parse::<Isa>(), Err(IsaError::Missing { name }));
        }
    }
}
