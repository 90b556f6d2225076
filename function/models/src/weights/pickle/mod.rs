//! Python pickles, read as data.
//!
//! A pickle is a program for a stack machine that may call anything Python can import. This machine
//! calls nothing: what a program would import, construct or set up is kept as [`Node`]s that say so,
//! and the readers pick out the few constructors they know.
//!
//! Opcodes and their arguments are those of CPython's `pickletools`, protocols 2 to 5, as far as
//! PyTorch writes them.

mod machine;

use machine::Machine;

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
