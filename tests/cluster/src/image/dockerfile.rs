//! The few instructions of a Dockerfile that lay out an image.

use super::ImageError;

/// A stage that is made of nothing but copies out of others, with all that it has from the stages it begins as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) copies: Vec<Copy>,
    /// `NAME=VALUE` each.
    pub(super) env: Vec<String>,
    pub(super) user: Option<String>,
    /// `NUMBER` or `NUMBER/PROTOCOL`.
    pub(super) ports: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
}

/// A file or folder of another stage, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) stage: String,
    pub(super) from: String,
    pub(super) to: String,
    /// The instruction.
    pub(super) line: String,
}

/// An instruction without its line breaks.
struct Instruction {
    /// Of its beginning, counted from 1.
    line: usize,
    text: String,
}

impl Instruction {
    /// Its name and the rest.
    fn parts(&self) -> (&str, &str) {
        let (name, rest) = self.text.split_once(' ').unwrap_or((&self.text, ""));
        (name, rest.trim())
    }

    fn refused(&self, reason: &str) -> ImageError {
        ImageError::Dockerfile {
            line: self.line,
            reason: format!("{}: {reason}", self.text),
        }
    }
}

impl Stage {
    /// The stage of this name.
    pub(super) fn read(dockerfile: &str, name: &str) -> Result<Self, ImageError> {
        let instructions = instructions(dockerfile);
        Self::before(&instructions, name)
    }

    /// The last stage of this name in these instructions.
    fn before(instructions: &[Instruction], name: &str) -> Result<Self, ImageError> {
        let begins = |instruction: &Instruction| {
            let (instruction, rest) = instruction.parts();
            instruction == "FROM" && rest.rsplit_once(" AS ").is_some_and(|(_, own)| own == name)
        };
        let begin = instructions
            .iter()
            .rposition(begins)
            .ok_or_else(|| ImageError::Stage(name.to_owned()))?;
        let first = &instructions[begin];
        let base = first
            .parts()
            .1
            .rsplit_once(" AS ")
            .map_or("", |(base, _)| base);
        let mut stage = match base {
            "scratch" => Self::default(),
            base => Self::before(&instructions[..begin], base).map_err(|error| match error {
                ImageError::Stage(_) if !is_stage(instructions, base) => {
                    first.refused("only what begins as scratch can be packed")
                }
                error => error,
            })?,
        };
        for instruction in &instructions[begin + 1..] {
            if instruction.parts().0 == "FROM" {
                break;
            }
            stage.follow(instruction)?;
        }
        Ok(stage)
    }

    fn follow(&mut self, instruction: &Instruction) -> Result<(), ImageError> {
        let (name, rest) = instruction.parts();
        let words = || rest.split_whitespace().map(str::to_owned);
        let list = || {
            serde_json::from_str::<Vec<String>>(rest)
                .map_err(|_| instruction.refused("expected a list of texts in JSON"))
        };
        match name {
            "COPY" => {
                let words: Vec<_> = words().collect();
                let [stage, from, to] = words.as_slice() else {
                    return Err(instruction.refused("expected --from=STAGE, a path and another"));
                };
                let stage = stage
                    .strip_prefix("--from=")
                    .ok_or_else(|| instruction.refused("expected --from=STAGE"))?;
                self.copies.push(Copy {
                    stage: stage.to_owned(),
                    from: from.clone(),
                    to: to.clone(),
                    line: instruction.text.clone(),
                });
            }
            "ENV" => self.env.extend(words()),
            "EXPOSE" => self.ports.extend(words()),
            "USER" => self.user = Some(rest.to_owned()),
            "ENTRYPOINT" => self.entrypoint = list()?,
            "CMD" => self.command = list()?,
            _ => return Err(instruction.refused("is not done without Docker")),
        }
        Ok(())
    }
}

fn is_stage(instructions: &[Instruction], name: &str) -> bool {
    let end = format!(" AS {name}");
    let mut from = instructions
        .iter()
        .filter(|instruction| instruction.parts().0 == "FROM");
    from.any(|instruction| instruction.text.ends_with(&end))
}

fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let mut instructions = Vec::new();
    let mut unfinished: Option<Instruction> = None;
    for (index, line) in dockerfile.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut instruction = unfinished.take().unwrap_or(Instruction {
            line: index + 1,
            text: String::new(),
        });
        let (text, goes_on) = match line.strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (line, false),
        };
        if !instruction.text.is_empty() {
            instruction.text.push(' ');
        }
        instruction.text.push_str(text);
        if goes_on {
            unfinished = Some(instruction);
        } else {
            instructions.push(instruction);
        }
    }
    instructions.extend(unfinished);
    instructions
}
