//! Reading of flatbuffers without trust: every offset and length is checked before it is followed.
//!
//! A flatbuffer is a graph of tables. A table starts with the signed distance back to its vtable; the
//! vtable holds its own size, the table's, and for each field the distance from the table's start to
//! the field (0 where the field is absent and has its default). Strings, vectors and sub-tables are
//! reached by unsigned distances forward, and vectors start with their length. All numbers are
//! little-endian. See <https://flatbuffers.dev/internals/>.

/// Why a flatbuffer could not be followed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An offset or a length leads past the end of the file, to this position.
    OutOfBounds(usize),
    /// The string at this position is not UTF-8.
    NotText(usize),
    /// The file has another identifier than its format.
    Identifier,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OutOfBounds(position) => {
                write!(f, "it points outside itself, at byte {position}")
            }
            Self::NotText(position) => write!(f, "the name at byte {position} is not UTF-8"),
            Self::Identifier => write!(f, "its identifier is another one"),
        }
    }
}

/// The whole file.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(self, start: usize, length: usize) -> Result<&'a [u8], Fault> {
        start
            .checked_add(length)
            .and_then(|end| self.0.get(start..end))
            .ok_or(Fault::OutOfBounds(start))
    }

    fn array<const N: usize>(self, start: usize) -> Result<[u8; N], Fault> {
        let (array, _) = self
            .slice(start, N)?
            .split_first_chunk()
            .ok_or(Fault::OutOfBounds(start))?;
        Ok(*array)
    }

    /// Where the unsigned offset at `position` leads to.
    fn follow(self, position: usize) -> Result<usize, Fault> {
        let distance = u32::from_le_bytes(self.array(position)?) as usize;
        position
            .checked_add(distance)
            .ok_or(Fault::OutOfBounds(position))
    }
}

/// One table. Fields are called by their number in the schema, from 0.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    file: Bytes<'a>,
    start: usize,
    vtable: &'a [u8],
}

impl<'a> Table<'a> {
    /// The root table of a file with this identifier.
    pub(super) fn root(file: &'a [u8], identifier: [u8; 4]) -> Result<Self, Fault> {
        let file = Bytes(file);
        if file.array(4)? != identifier {
            return Err(Fault::Identifier);
        }
        Self::at(file, file.follow(0)?)
    }

    fn at(file: Bytes<'a>, start: usize) -> Result<Self, Fault> {
        let back = i32::from_le_bytes(file.array(start)?);
        let vtable = usize::try_from(start as i64 - i64::from(back))
            .map_err(|_| Fault::OutOfBounds(start))?;
        let size = u16::from_le_bytes(file.array(vtable)?);
        Ok(Self {
            file,
            start,
            vtable: file.slice(vtable, usize::from(size))?,
        })
    }

    /// Where the field is, if it is there.
    fn field(&self, number: usize) -> Option<usize> {
        // Behind the sizes of the vtable and of the table.
        let entry = self.vtable.get(4 + 2 * number..)?.first_chunk()?;
        match u16::from_le_bytes(*entry) {
            0 => None,
            distance => Some(self.start + usize::from(distance)),
        }
    }

    /// The bytes of a number of `N` bytes.
    pub(super) fn scalar<const N: usize>(&self, number: usize) -> Result<Option<[u8; N]>, Fault> {
        self.field(number)
            .map(|position| self.file.array(position))
            .transpose()
    }

    /// A table.
    pub(super) fn table(&self, number: usize) -> Result<Option<Self>, Fault> {
        self.field(number)
            .map(|position| Self::at(self.file, self.file.follow(position)?))
            .transpose()
    }

    /// The elements of a vector of numbers of `N` bytes; none where the field is absent.
    pub(super) fn vector<const N: usize>(&self, number: usize) -> Result<&'a [[u8; N]], Fault> {
        let Some(position) = self.field(number) else {
            return Ok(&[]);
        };
        let start = self.file.follow(position)?;
        let length = u32::from_le_bytes(self.file.array(start)?) as usize;
        let bytes = length.checked_mul(N).ok_or(Fault::OutOfBounds(start))?;
        let (elements, _) = self.file.slice(start + 4, bytes)?.as_chunks();
        Ok(elements)
    }

    /// The elements of a vector of tables; none where the field is absent.
    pub(super) fn tables(&self, number: usize) -> Result<Vec<Self>, Fault> {
        let elements = self.vector::<4>(number)?;
        let Some(position) = self.field(number) else {
            return Ok(Vec::new());
        };
        let first = self.file.follow(position)? + 4;
        (0..elements.len())
            .map(|index| Self::at(self.file, self.file.follow(first + 4 * index)?))
            .collect()
    }

    /// A string; empty where the field is absent.
    pub(super) fn string(&self, number: usize) -> Result<&'a str, Fault> {
        let bytes = self.vector::<1>(number)?.as_flattened();
        std::str::from_utf8(bytes).map_err(|_| Fault::NotText(self.start))
    }
}
