use std::error::Error;

/// An error and its causes in a line; what a cause repeats of what was said already is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.extend([": ", &said]);
        }
        cause = error.source();
    }
    text
}
