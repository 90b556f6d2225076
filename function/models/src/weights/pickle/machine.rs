//! The stack machine that a pickle is a program for.

use std::collections::HashMap;

use super::{Id, Node};

/// The stack machine. Every opcode makes at most one node and pushes at most one value, so memory is
/// bounded by the length of the pickle.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    pub(super) position: usize,
    /// Where the opcode is that is being run.
    pub(super) opcode_at: usize,
    pub(super) nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at which `MARK` was.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            opcode_at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Runs up to `STOP` and answers what is on the stack then.
    pub(super) fn run(&mut self) -> Result<Id, String> {
        loop {
            self.opcode_at = self.position;
            match self.byte()? {
                // Frame of the pickle
                0x80 => {
                    let protocol = self.byte()?;
                    if !(2..=5).contains(&protocol) {
                        return Err(format!("protocol {protocol}, expected 2 to 5"));
                    }
                }
                0x95 => {
                    self.take(8)?;
                }
                b'.' => return self.pop(),

                // Stack and memo
                b'(' => self.marks.push(self.stack.len()),
                b'0' => {
                    self.pop()?;
                }
                b'1' => {
                    self.pop_to_mark()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                b'q' => {
                    let index = self.byte()?;
                    self.remember(index.into())?;
                }
                b'r' => {
                    let index = self.u32()?;
                    self.remember(index)?;
                }
                0x94 => {
                    // There are at most as many entries as bytes of the pickle.
                    self.remember(self.memo.len() as u32)?;
                }
                b'h' => {
                    let index = self.byte()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = self.u32()?;
                    self.recall(index)?;
                }

                // Scalars
                b'N' => self.push(Node::None),
                0x88 => self.push(Node::Bool(true)),
                0x89 => self.push(Node::Bool(false)),
                b'K' => {
                    let value = self.byte()?;
                    self.push(Node::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Node::Int(value.into()));
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Node::Int(value.into()));
                }
                0x8a => {
                    let length = self.byte()?;
                    self.long(length.into())?;
                }
                0x8b => {
                    let length = self.u32()?;
                    self.long(length.into())?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.push(Node::Float(value));
                }
                0x8c => {
                    let length = self.byte()?;
                    self.text(length.into())?;
                }
                b'X' => {
                    let length = self.u32()?;
                    self.text(length.into())?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.text(length)?;
                }
                b'C' | b'U' => {
                    let length = self.byte()?;
                    self.data(length.into())?;
                }
                b'B' | b'T' => {
                    let length = self.u32()?;
                    self.data(length.into())?;
                }
                0x8e => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.data(length)?;
                }

                // Collections
                b')' => self.push(Node::Tuple(Vec::new())),
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::Tuple(items));
                }
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b']' => self.push(Node::List(Vec::new())),
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.append(&items)?;
                }
                b'}' => self.push(Node::Dict(Vec::new())),
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(&items)?;
                }

                // What Python would import and call
                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.push(Node::Global { module, name });
                }
                0x93 => {
                    let name = self.pop()?;
                    let module = self.pop()?;
                    let (Node::Text(module), Node::Text(name)) =
                        (self.node(module), self.node(name))
                    else {
                        return Err("a global whose name is not text".to_owned());
                    };
                    let (module, name) = (*module, *name);
                    self.push(Node::Global { module, name });
                }
                b'R' | 0x81 => {
                    let arguments = self.pop()?;
                    let constructor = self.pop()?;
                    self.push(Node::Object {
                        constructor,
                        arguments,
                        items: Vec::new(),
                        state: None,
                    });
                }
                b'b' => {
                    let new_state = self.pop()?;
                    match self.top_node()? {
                        Node::Object { state, .. } => *state = Some(new_state),
                        _ => return Err("a state for what is not an object".to_owned()),
                    }
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Node::Persistent(id));
                }

                opcode => return Err(format!("unknown opcode 0x{opcode:02x}")),
            }
        }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.position..];
        match usize::try_from(length) {
            Ok(length) if length <= rest.len() => {
                self.position += length;
                Ok(&rest[..length])
            }
            _ => Err(format!(
                "{length} bytes wanted and {} left, for the opcode",
                rest.len()
            )),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.position..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err("a line without an end".to_owned());
        };
        self.position += length + 1;
        str::from_utf8(&rest[..length]).map_err(|_| "a name that is not UTF-8".to_owned())
    }

    fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    fn push(&mut self, node: Node<'a>) {
        // No more nodes than bytes, and those are at most `MAX_PICKLE`.
        self.stack.push(Id(self.nodes.len() as u32));
        self.nodes.push(node);
    }

    /// The lowest height to which the stack may be popped.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, String> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err("a value wanted from an empty stack".to_owned()),
        }
    }

    fn top_node(&mut self) -> Result<&mut Node<'a>, String> {
        let top = self.top()?;
        Ok(&mut self.nodes[top.0 as usize])
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.split_off(height)),
            None => Err("the end of a mark that was not set".to_owned()),
        }
    }

    fn remember(&mut self, index: u32) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), String> {
        match self.memo.get(&index) {
            Some(&id) => {
                self.stack.push(id);
                Ok(())
            }
            None => Err(format!("memo {index}, which was not set")),
        }
    }

    fn long(&mut self, length: u64) -> Result<(), String> {
        let bytes = self.take(length)?;
        let node = match bytes.last() {
            _ if bytes.len() > 8 => Node::Long(bytes),
            None => Node::Int(0),
            Some(last) => {
                let mut extended = [if *last >= 0x80 { 0xff } else { 0 }; 8];
                extended[..bytes.len()].copy_from_slice(bytes);
                Node::Int(i64::from_le_bytes(extended))
            }
        };
        self.push(node);
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<(), String> {
        let text = str::from_utf8(self.take(length)?);
        self.push(Node::Text(
            text.map_err(|_| "a text that is not UTF-8".to_owned())?,
        ));
        Ok(())
    }

    fn data(&mut self, length: u64) -> Result<(), String> {
        let data = self.take(length)?;
        self.push(Node::Bytes(data));
        Ok(())
    }

    fn tuple(&mut self, length: usize) -> Result<(), String> {
        let height = self.stack.len().checked_sub(length);
        match height {
            Some(height) if height >= self.floor() => {
                let items = self.stack.split_off(height);
                self.push(Node::Tuple(items));
                Ok(())
            }
            _ => Err("a value wanted from an empty stack".to_owned()),
        }
    }

    fn append(&mut self, new_items: &[Id]) -> Result<(), String> {
        match self.top_node()? {
            Node::List(items) => {
                items.extend_from_slice(new_items);
                Ok(())
            }
            _ => Err("an item for what is not a list".to_owned()),
        }
    }

    fn set_items(&mut self, keys_and_values: &[Id]) -> Result<(), String> {
        let (pairs, odd) = keys_and_values.as_chunks::<2>();
        if !odd.is_empty() {
            return Err("a key without a value".to_owned());
        }
        match self.top_node()? {
            Node::Dict(items) | Node::Object { items, .. } => {
                items.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err("an item for what is not a dictionary".to_owned()),
        }
    }
}
