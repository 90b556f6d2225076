//! What is sent in place of a picture.

/// What people send by mistake, by its first bytes.
pub(super) fn looks_like(bytes: &[u8]) -> &'static str {
    let start = bytes.trim_ascii_start();
    match start {
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF picture",
        // The brand of an ISO media file.
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'a', b'v', b'i', ..] => "an AVIF picture",
            [b'h', b'e', ..] | [b'm', b'i' | b's', ..] => "a HEIC picture",
            _ => "a video",
        },
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive",
        [b'<', ..] if has_tag(start, b"<svg") => "an SVG drawing",
        [b'<', ..] if has_tag(start, b"<html") || has_tag(start, b"<!doctype html") => {
            "an HTML page"
        }
        [b'{' | b'[', ..] => "JSON",
        _ if is_text(bytes) => "text",
        _ => "something unknown",
    }
}

fn has_tag(bytes: &[u8], tag: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(512)];
    head.windows(tag.len())
        .any(|window| window.eq_ignore_ascii_case(tag))
}

fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64)];
    // A letter may go on behind the head.
    let is_utf8 =
        std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !head.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::looks_like;

    #[test]
    fn what_is_no_picture_is_named() {
        for (bytes, expected) in [
            (&b"hello, world"[..], "text"),
            ("ä".repeat(40).as_bytes(), "text"),
            (format!("a{}", "ä".repeat(40)).as_bytes(), "text"),
            (b"<!DOCTYPE html><html></html>", "an HTML page"),
            (b"<?xml version='1.0'?><svg xmlns=''/>", "an SVG drawing"),
            (b"%PDF-1.7", "a PDF document"),
            (b"{\"url\": 1}", "JSON"),
            (b"II*\0", "a TIFF picture"),
            (b"\0\0\0\x20ftypavif", "an AVIF picture"),
            (b"\0\0\0\x20ftypheic", "a HEIC picture"),
            (b"\0\0\0\x20ftypmif1", "a HEIC picture"),
            (b"\0\0\0\x20ftypmp42", "a video"),
            (b"\xff\x00\xfe\x80", "something unknown"),
            (b"\0\0\0\0", "something unknown"),
        ] {
            assert_eq!(looks_like(bytes), expected, "{bytes:?}");
        }
    }
}
