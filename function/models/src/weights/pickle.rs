//! Python pickles, read as data.
//!
//! A pickle is a program for a stack machine that may call anything Python can import. This machine
//! calls nothing: what a program would import, construct or set up is kept as [`Node`]s that say so,
//! and the readers pick out the few constructors they know.
//!
//! Opcodes and their arguments are those of CPython's `pickletools`, protocols 2 to 5, as far as
//! PyTorch writes them.

use std::collections::HashMap;

/// The longest pickle that is read, in bytes. The largest of the catalogue has 0.2 MB; nodes take up
/// to 64 times the bytes of their opcodes.
pub(super) const MAX_PICKLE: usize = 4 << 20;

/// A value of a pickle: its place among the pickle's nodes. Values may hold each other in a circle, so
/// whoever walks them bounds the depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u32);

/// One value of a pickle.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Something of a Python module, by name.
    Global {
        module: &'a str,
        name: &'a str,
    },
    /// What calling `constructor` with `arguments` would have made.
    Object {
        constructor: Id,
        arguments: Id,
        /// Items set on it, where it is a dictionary.
        items: Vec<(Id, Id)>,
        /// What its `__setstate__` would have been given.
        state: Option<Id>,
    },
    /// What the archive around the pickle would have been asked for.
    Persistent(Id),
}

/// The values of one pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    /// How many bytes the pickle took.
    pub(super) length: usize,
}

/// Why a pickle could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{what} at byte {offset} of the pickle")]
pub(super) struct PickleError {
    what: String,
    offset: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, PickleError> {
        let mut machine = Machine::new(&bytes[..bytes.len().min(MAX_PICKLE)]);
        match machine.run() {
            Ok(root) => Ok(Self {
                nodes: machine.nodes,
                root,
                length: machine.position,
            }),
            Err(what) => Err(PickleError {
                what,
                offset: machine.opcode_at,
            }),
        }
    }

    /// The value that the pickle is of.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// Every value, in the order they were made.
    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The value at `id`.
    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        // An `Id` is only made together with its node, and nodes are never removed.
        &self.nodes[id.0 as usize]
    }

    /// The integer at `id`.
    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.node(id) {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The text at `id`.
    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.node(id) {
            Node::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The items of the tuple at `id`.
    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of the dictionary at `id`, be it a plain or an ordered one.
    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(items) => Some(items),
            Node::Object {
                constructor, items, ..
            } if self.global(*constructor) == Some(("collections", "OrderedDict")) => Some(items),
            _ => None,
        }
    }

    /// The module and name of the global at `id`.
    pub(super) fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.node(id) {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// The module and name of what would have been called with which arguments to make the object at
    /// `id`.
    pub(super) fn call(&self, id: Id) -> Option<((&'a str, &'a str), &[Id])> {
        match self.node(id) {
            Node::Object {
                constructor,
                arguments,
                ..
            } => Some((self.global(*constructor)?, self.tuple(*arguments)?)),
            _ => None,
        }
    }

    /// What kind of value is at `id`, for messages.
    pub(super) fn describe(&self, id: Id) -> String {
        match self.node(id) {
            Node::None => "None".to_owned(),
            Node::Bool(_) => "a boolean".to_owned(),
            Node::Int(_) | Node::Long(_) => "an integer".to_owned(),
            Node::Float(_) => "a float".to_owned(),
            Node::Text(_) => "a text".to_owned(),
            Node::Bytes(_) => "bytes".to_owned(),
            Node::Tuple(_) => "a tuple".to_owned(),
            Node::List(_) => "a list".to_owned(),
            Node::Dict(_) => "a dictionary".to_owned(),
            Node::Global { module, name } => format!("{module}.{name}"),
            Node::Object { constructor, .. } => match self.global(*constructor) {
                Some((module, name)) => format!("an object of {module}.{name}"),
                None => "an object of no named class".to_owned(),
            },
            Node::Persistent(_) => "a storage".to_owned(),
        }
    }
}

/// The stack machine. Every opcode makes at most one node and pushes at most one value, so memory is
/// bounded by the length of the pickle.
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    opcode_at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at which `MARK` was.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
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
    fn run(&mut self) -> Result<Id, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(bytes: &[u8]) -> String {
        Pickle::parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_dictionary_memoised_before_it_is_filled_is_one_dictionary() {
        // d = {}; ("k": d.set("a", 7)), as ((d), (d)).
        let pickle =
            Pickle::parse(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07uh\x00\x86.and more").unwrap();
        let pair = pickle.tuple(pickle.root()).unwrap();
        assert_eq!(pair[0], pair[1]);
        let items = pickle.dict(pair[1]).unwrap();
        assert_eq!(pickle.text(items[0].0), Some("a"));
        assert_eq!(pickle.int(items[0].1), Some(7));
        assert_eq!(pickle.length, 19);
    }

    #[test]
    fn calls_are_kept_and_not_made() {
        // os.system("true") with a state on top.
        let pickle = Pickle::parse(b"cos\nsystem\n(X\x04\x00\x00\x00truetR}b.").unwrap();
        let (global, arguments) = pickle.call(pickle.root()).unwrap();
        assert_eq!(global, ("os", "system"));
        assert_eq!(pickle.text(arguments[0]), Some("true"));
        assert_eq!(pickle.describe(pickle.root()), "an object of os.system");
    }

    #[test]
    fn protocol_4_opcodes_are_read() {
        let pickle = Pickle::parse(
            b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00\x8c\x01m\x94\x8c\x01n\x93\x94)\x81.",
        )
        .unwrap();
        assert_eq!(pickle.call(pickle.root()), Some((("m", "n"), &[][..])));
    }

    #[test]
    fn integers_of_any_length_keep_their_sign() {
        let parse = |bytes: &[u8]| {
            let pickle = Pickle::parse(bytes).unwrap();
            pickle.int(pickle.root())
        };
        assert_eq!(parse(b"\x8a\x00."), Some(0));
        assert_eq!(parse(b"\x8a\x01\xff."), Some(-1));
        assert_eq!(parse(b"\x8a\x03\xff\xff\x00."), Some(65535));
        assert_eq!(parse(b"J\xfe\xff\xff\xff."), Some(-2));
        assert_eq!(
            parse(b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."),
            None
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(
            fails(b"\x80\x02i"),
            "unknown opcode 0x69 at byte 2 of the pickle"
        );
        assert!(fails(b"").contains("1 bytes wanted and 0 left"));
        assert!(fails(b"\x80\x09.").contains("protocol 9, expected 2 to 5"));
        assert!(fails(b"X\xff\xff\xff\xffa.").contains("4294967295 bytes wanted and 2 left"));
        assert!(fails(b"h\x05.").contains("memo 5, which was not set"));
        assert!(fails(b"(.").contains("empty stack"));
        assert!(fails(b"K\x01(\x85.").contains("empty stack"));
        assert!(fails(b"t.").contains("mark that was not set"));
        assert!(fails(b"K\x01K\x02a.").contains("not a list"));
        assert!(fails(b"}(K\x01u.").contains("key without a value"));
        assert!(fails(b"}}b.").contains("not an object"));
    }

    #[test]
    fn deep_nesting_takes_no_stack() {
        let mut bytes = vec![b')'];
        bytes.resize(1 << 20, 0x85);
        bytes.push(b'.');
        let pickle = Pickle::parse(&bytes).unwrap();
        assert_eq!(pickle.nodes().len(), 1 << 20);
    }
}
