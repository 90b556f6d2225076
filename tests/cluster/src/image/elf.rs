//! What a program needs of an image, and on which machines it runs.

use std::{fs, path::Path};

use super::ImageError;

/// A program's header.
pub(super) struct Program {
    /// The architecture, by its name in images.
    pub(super) architecture: &'static str,
    /// The path of the loader that finds its libraries, where it is not linked statically.
    pub(super) loader: Option<String>,
}

/// Reads a program's header. Offsets are those of the ELF specification for 64 bits, little-endian.
pub(super) fn read(path: &Path) -> Result<Program, ImageError> {
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
    let mut loader = None;
    for index in 0..count {
        let header = start.checked_add(index * size).ok_or_else(no_program)?;
        if number(&program, header, 4).ok_or_else(no_program)? == INTERPRETER {
            let name = || {
                let at = usize::try_from(number(&program, header.checked_add(8)?, 8)?).ok()?;
                let length = usize::try_from(number(&program, header.checked_add(32)?, 8)?).ok()?;
                let name = program.get(at..at.checked_add(length)?)?;
                let name = std::str::from_utf8(name).ok()?;
                Some(name.trim_end_matches('\0').to_owned())
            };
            loader = Some(name().ok_or_else(no_program)?);
        }
    }
    Ok(Program {
        architecture,
        loader,
    })
}

/// So many bytes from there on, as a number.
fn number(program: &[u8], at: u64, bytes: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = program.get(at..at.checked_add(bytes)?)?;
    let number = bytes.iter().rev();
    Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
