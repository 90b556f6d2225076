//! Whether a program runs in an image that has nothing else, and on which machines.

use std::{fs, path::Path};

use super::ImageError;

/// The architecture of a program, by its name in images. It must need no loader, for there is none.
///
/// Offsets are those of the ELF specification for 64 bits, little-endian.
pub(super) fn architecture(path: &Path) -> Result<&'static str, ImageError> {
    let refused = |reason| ImageError::Program {
        path: path.to_owned(),
        reason,
    };
    let program = fs::read(path).map_err(ImageError::file("read", path))?;
    let no_program = || refused("is no ELF program of 64 bits, little-endian");
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return Err(no_program());
    }
    let architecture = match number(&program, 18, 2).ok_or_else(no_program)? {
        0x3e => "amd64",
        0xb7 => "arm64",
        _ => return Err(refused("is neither for x86 nor for ARM of 64 bits")),
    };
    let [start, size, count] = [(32, 8), (54, 2), (56, 2)].map(|(at, of)| number(&program, at, of));
    let (Some(start), Some(size), Some(count)) = (start, size, count) else {
        return Err(no_program());
    };
    const INTERPRETER: u64 = 3;
    for index in 0..count {
        let kind = start
            .checked_add(index * size)
            .and_then(|header| number(&program, header, 4))
            .ok_or_else(no_program)?;
        if kind == INTERPRETER {
            return Err(refused(
                "needs a loader, expected one that is linked statically (-C target-feature=+crt-static)",
            ));
        }
    }
    Ok(architecture)
}

/// So many bytes from there on, as a number.
fn number(program: &[u8], at: u64, bytes: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = program.get(at..at.checked_add(bytes)?)?;
    let number = bytes.iter().rev();
    Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
