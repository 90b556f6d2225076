//! Tensors, whose elements are in JSON, in bytes, or in the fields of a gRPC message.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use segmenter_imaging::Image;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, SeqAccess, Unexpected, Visitor},
};

use crate::{error::Error, http::picture, service::Source};

/// What the elements of a tensor are; of the protocol's datatypes those that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    Uint8,
    Int32,
    Fp32,
    /// Anything, of any length.
    Bytes,
}

impl Datatype {
    /// The protocol's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "UINT8",
            Self::Int32 => "INT32",
            Self::Fp32 => "FP32",
            Self::Bytes => "BYTES",
        }
    }
}

/// The elements of a tensor that is answered, row by row.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Elements {
    Uint8(Vec<u8>),
    Int32(Vec<i32>),
    Fp32(Vec<f32>),
    /// All that is answered as bytes is text.
    Bytes(Vec<String>),
}

impl Elements {
    pub(super) fn datatype(&self) -> Datatype {
        match self {
            Self::Uint8(_) => Datatype::Uint8,
            Self::Int32(_) => Datatype::Int32,
            Self::Fp32(_) => Datatype::Fp32,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// All of them, little-endian, without anything between; elements of [`Bytes`](Self::Bytes) each after its length,
    /// of four bytes.
    pub(super) fn into_raw(self) -> Vec<u8> {
        match self {
            Self::Uint8(numbers) => numbers,
            Self::Int32(numbers) => numbers.into_iter().flat_map(i32::to_le_bytes).collect(),
            Self::Fp32(numbers) => numbers.into_iter().flat_map(f32::to_le_bytes).collect(),
            Self::Bytes(texts) => {
                let mut raw = Vec::new();
                for text in texts {
                    // Names, and run lengths of a picture that is itself no longer than that.
                    raw.extend((text.len() as u32).to_le_bytes());
                    raw.extend(text.into_bytes());
                }
                raw
            }
        }
    }
}

/// A tensor of a request, which nothing has looked at yet.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<i64>,
    pub(super) contents: Contents,
}

/// The elements of a tensor, as they came.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Contents {
    /// As [`Elements::into_raw`] has them.
    Raw(Bytes),
    /// Those of UINT8.
    Samples(Vec<u8>),
    /// The only one of BYTES.
    Element(Bytes),
}

/// The name of the tensor that all models take.
pub(super) const IMAGE: &str = "image";

impl Given {
    /// The picture that it is: an encoded one as BYTES, or its samples as UINT8, `[height, width, 3]`, in red, green
    /// and blue. Before either shape there may be a 1, for a batch of one picture.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn picture(self) -> Result<Source, Error> {
        if self.name != IMAGE {
            return Err(Error::BadInput(format!(
                "there is no input {:?}, expected {IMAGE}",
                self.name
            )));
        }
        match &*self.datatype {
            "BYTES" => self.element().map(Source::Bytes),
            "UINT8" => Ok(Source::Image(Arc::new(self.samples()?))),
            other => Err(Error::BadInput(format!(
                "{IMAGE} has the datatype {other:?}, expected BYTES for an encoded picture or UINT8 for its samples"
            ))),
        }
    }

    fn element(self) -> Result<Bytes, Error> {
        if !matches!(*self.shape, [1] | [1, 1]) {
            return Err(self.of_another_shape("[1]: a request has one picture"));
        }
        match self.contents {
            Contents::Raw(raw) => only_element(&raw),
            Contents::Element(element) => Ok(element),
            Contents::Samples(_) => Err(Error::BadInput(format!(
                "{IMAGE} is BYTES and has numbers, expected a picture"
            ))),
        }
    }

    fn samples(self) -> Result<Image, Error> {
        let sides = match *self.shape {
            [height, width, 3] | [1, height, width, 3] => [width, height],
            _ => [0; 2],
        };
        let [width, height] = sides.map(|side| u32::try_from(side).unwrap_or(0));
        if width == 0 || height == 0 {
            return Err(self.of_another_shape("[height, width, 3]"));
        }
        let samples = match self.contents {
            Contents::Raw(raw) => Vec::from(raw),
            Contents::Samples(samples) => samples,
            Contents::Element(_) => {
                return Err(Error::BadInput(format!(
                    "{IMAGE} is UINT8 and has text, expected whole numbers"
                )));
            }
        };
        let found = samples.len();
        Image::new(width, height, samples).ok_or_else(|| {
            Error::BadInput(format!(
                "{IMAGE} has {found} samples, expected {height} * {width} * 3"
            ))
        })
    }

    fn of_another_shape(&self, expected: &str) -> Error {
        Error::BadInput(format!(
            "{IMAGE} is {} and has the shape {:?}, expected {expected}",
            self.datatype, self.shape
        ))
    }
}

/// The element of a tensor of one, which comes after its length.
fn only_element(raw: &Bytes) -> Result<Bytes, Error> {
    let Some((length, element)) = raw.split_first_chunk() else {
        return Err(Error::BadInput(format!(
            "{IMAGE} is BYTES and ends within the length of its element"
        )));
    };
    let length = u32::from_le_bytes(*length);
    if element.len() as u64 != u64::from(length) {
        return Err(Error::BadInput(format!(
            "the length before the element of {IMAGE} is {length}, but {} bytes follow",
            element.len()
        )));
    }
    Ok(raw.slice_ref(element))
}

/// The elements of a tensor in JSON: a list, or lists of lists, of numbers or of one text.
///
/// They are read into no more than the elements themselves, whatever stands there.
#[derive(Debug, Default)]
pub(super) struct Data {
    samples: Vec<u8>,
    text: Option<String>,
}

impl Data {
    /// With the text, base64, decoded.
    pub(super) fn contents(self) -> Result<Contents, Error> {
        match self.text {
            None => Ok(Contents::Samples(self.samples)),
            Some(text) if self.samples.is_empty() => {
                Ok(Contents::Element(picture::from_base64(&text)?))
            }
            Some(_) => Err(Error::BadInput(format!(
                "{IMAGE} has both text and numbers"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::default();
        Flattened(&mut data).deserialize(deserializer)?;
        Ok(data)
    }
}

/// Adds elements to those that there are.
struct Flattened<'a>(&'a mut Data);

impl<'de> DeserializeSeed<'de> for Flattened<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flattened<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whole numbers of 0 to 255, or a picture in base64")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        let sample = u8::try_from(number)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
        self.0.samples.push(sample);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.0.text.replace(text.to_owned()).is_some() {
            return Err(E::custom("there are several texts, expected one picture"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Flattened(self.0))?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(datatype: &str, shape: &[i64], contents: Contents) -> Given {
        Given {
            name: IMAGE.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            contents,
        }
    }

    fn raw(bytes: &[u8]) -> Contents {
        Contents::Raw(Bytes::copy_from_slice(bytes))
    }

    fn refusal(datatype: &str, shape: &[i64], contents: Contents) -> String {
        let error = given(datatype, shape, contents).picture().unwrap_err();
        error.to_string()
    }

    fn contents(json: &str) -> Result<Contents, String> {
        let data: Data = serde_json::from_str(json).map_err(|error| error.to_string())?;
        data.contents().map_err(|error| error.to_string())
    }

    #[test]
    fn elements_of_every_datatype_have_their_bytes_and_their_json() {
        for (elements, datatype, bytes, json) in [
            (
                Elements::Uint8(vec![0, 255]),
                "UINT8",
                vec![0, 255],
                "[0,255]",
            ),
            (
                Elements::Int32(vec![-2, 258]),
                "INT32",
                vec![0xfe, 0xff, 0xff, 0xff, 2, 1, 0, 0],
                "[-2,258]",
            ),
            (
                Elements::Fp32(vec![-0.75]),
                "FP32",
                vec![0, 0, 0x40, 0xbf],
                "[-0.75]",
            ),
            (
                Elements::Bytes(vec!["cat".to_owned(), String::new()]),
                "BYTES",
                b"\x03\0\0\0cat\0\0\0\0".to_vec(),
                r#"["cat",""]"#,
            ),
        ] {
            assert_eq!(elements.datatype().name(), datatype);
            assert_eq!(serde_json::to_string(&elements).unwrap(), json);
            assert_eq!(elements.into_raw(), bytes, "{datatype}");
        }
    }

    #[test]
    fn an_encoded_picture_is_one_element_in_any_form() {
        let expected = Source::Bytes(Bytes::from_static(b"hi"));
        for shape in [&[1][..], &[1, 1]] {
            for contents in [
                raw(b"\x02\0\0\0hi"),
                Contents::Element(Bytes::from_static(b"hi")),
                contents(r#"["aGk="]"#).unwrap(),
                contents(r#"[["data:image/png;base64,aGk="]]"#).unwrap(),
                contents(r#""aGk""#).unwrap(),
            ] {
                let picture = given("BYTES", shape, contents).picture().unwrap();
                assert_eq!(picture, expected);
            }
        }
    }

    #[test]
    fn samples_are_a_picture_in_any_form() {
        let samples: Vec<u8> = (0..12).collect();
        let expected = Arc::new(Image::new(1, 4, samples.clone()).unwrap());
        for shape in [&[4, 1, 3][..], &[1, 4, 1, 3]] {
            for contents in [
                raw(&samples),
                contents("[0,1,2,3,4,5,6,7,8,9,10,11]").unwrap(),
                contents("[[[[0,1,2]],[[3,4,5]],[[6,7,8]],[[9,10,11]]]]").unwrap(),
            ] {
                let picture = given("UINT8", shape, contents).picture().unwrap();
                assert_eq!(picture, Source::Image(Arc::clone(&expected)));
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_with_what_would_be_right() {
        for (datatype, shape, contents, expected) in [
            (
                "FP32",
                &[4, 1, 3][..],
                raw(&[0; 48]),
                r#"has the datatype "FP32", expected BYTES"#,
            ),
            ("BYTES", &[], raw(b""), "has the shape [], expected [1]"),
            ("BYTES", &[2], raw(b""), "has the shape [2], expected [1]"),
            ("BYTES", &[1], raw(b""), "ends within the length"),
            ("BYTES", &[1], raw(b"\x02\0\0"), "ends within the length"),
            (
                "BYTES",
                &[1],
                raw(b"\x03\0\0\0hi"),
                "is 3, but 2 bytes follow",
            ),
            (
                "BYTES",
                &[1],
                raw(b"\x01\0\0\0hi"),
                "is 1, but 2 bytes follow",
            ),
            (
                "BYTES",
                &[1],
                raw(b"\xff\xff\xff\xffhi"),
                "is 4294967295, but 2 bytes follow",
            ),
            (
                "BYTES",
                &[1],
                Contents::Samples(vec![1]),
                "is BYTES and has numbers",
            ),
            (
                "UINT8",
                &[2, 2, 3],
                raw(&[0; 11]),
                "has 11 samples, expected 2 * 2 * 3",
            ),
            (
                "UINT8",
                &[2, 2, 3],
                raw(&[0; 13]),
                "has 13 samples, expected 2 * 2 * 3",
            ),
            (
                "UINT8",
                &[2, 2, 3],
                Contents::Element(Bytes::new()),
                "is UINT8 and has text",
            ),
            (
                "UINT8",
                &[4, 1],
                raw(&[0; 4]),
                "has the shape [4, 1], expected [height, width, 3]",
            ),
            (
                "UINT8",
                &[2, 4, 1, 3],
                raw(&[0; 24]),
                "expected [height, width, 3]",
            ),
            ("UINT8", &[0, 4, 3], raw(&[]), "expected [height, width, 3]"),
            (
                "UINT8",
                &[-4, -1, 3],
                raw(&[0; 12]),
                "expected [height, width, 3]",
            ),
            (
                "UINT8",
                &[i64::MAX, i64::MAX, 3],
                raw(&[0; 12]),
                "expected [height, width, 3]",
            ),
            (
                "UINT8",
                &[u32::MAX.into(), u32::MAX.into(), 3],
                raw(&[0; 12]),
                "has 12 samples, expected 4294967295 * 4294967295 * 3",
            ),
        ] {
            let message = refusal(datatype, shape, contents);
            assert!(
                message.contains(expected),
                "{datatype} {shape:?}: {message}"
            );
        }
    }

    #[test]
    fn there_is_only_one_input() {
        let other = Given {
            name: "input_1".to_owned(),
            ..given("BYTES", &[1], raw(b""))
        };
        let message = other.picture().unwrap_err().to_string();
        assert_eq!(message, r#"there is no input "input_1", expected image"#);
    }

    #[test]
    fn other_elements_in_json_are_refused_with_what_was_expected() {
        const EXPECTED: &str = "expected whole numbers of 0 to 255, or a picture in base64";
        for (json, expected) in [
            ("[256]", EXPECTED),
            ("[-1]", EXPECTED),
            ("[0.5]", EXPECTED),
            ("[true]", EXPECTED),
            ("[null]", EXPECTED),
            ("{}", EXPECTED),
            (r#"["aGk=","aGk="]"#, "several texts"),
            (r#"["aGk=",1]"#, "both text and numbers"),
            (r#"["?"]"#, "not base64"),
            ("[1", "EOF"),
        ] {
            let message = contents(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
        }
        // The reader's own limit.
        let deep = "[".repeat(100_000);
        let message = contents(&deep).unwrap_err();
        assert!(message.contains("recursion limit"), "{message}");
    }
}
