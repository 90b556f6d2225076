//! Looks a message over before it is decoded: of two bytes of an empty field a struct of hundreds is made, and a limit on
//! a message's bytes says nothing of that.

use std::{any::TypeId, collections::BTreeMap, marker::PhantomData};

use bytes::Buf;
use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use super::{inference::ModelInferRequest, status, v1::PredictRequest};
use crate::{error::Error, service::MOST_CLASSES};

/// A field of which there may be only so many in a message, over all places where it can be.
struct Bound {
    number: u32,
    name: &'static str,
    most: usize,
    /// Whether several may be in one field.
    packed: bool,
    /// In the message that the field is.
    within: &'static [Bound],
}

/// More tensors, sides and parameters than any request has use for, as over HTTP.
const MOST: usize = 32;
/// The longest that a number is, in bytes.
const NUMBER: usize = 10;

const fn bound(number: u32, name: &'static str, within: &'static [Bound]) -> Bound {
    Bound {
        number,
        name,
        most: MOST,
        packed: false,
        within,
    }
}

/// Of numbers, which may be packed into one field.
const fn numbers(number: u32, name: &'static str) -> Bound {
    Bound {
        packed: true,
        ..bound(number, name, &[])
    }
}

/// Of `ModelInferRequest`.
const MODEL_INFER: &[Bound] = &[
    bound(4, "parameters", &[]),
    bound(
        5,
        "inputs",
        &[
            numbers(3, "sides in shapes of inputs"),
            bound(4, "parameters of inputs", &[]),
            bound(
                5,
                "contents of inputs",
                // But for uint_contents, in which a picture's samples are: of no others is a picture made, and a byte of
                // them would take up to eight.
                &[
                    numbers(1, "bool_contents of inputs"),
                    numbers(2, "int_contents of inputs"),
                    numbers(3, "int64_contents of inputs"),
                    numbers(5, "uint64_contents of inputs"),
                    numbers(6, "fp32_contents of inputs"),
                    numbers(7, "fp64_contents of inputs"),
                    bound(8, "bytes_contents of inputs", &[]),
                ],
            ),
        ],
    ),
    bound(6, "outputs", &[bound(2, "parameters of outputs", &[])]),
    bound(7, "raw_input_contents", &[]),
];
/// Of `PredictRequest`.
const PREDICT: &[Bound] = &[Bound {
    number: 5,
    name: "classes",
    most: MOST_CLASSES,
    packed: false,
    within: &[],
}];

/// What all messages are written and read with.
pub(super) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

pub(super) struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + 'static> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // All of it is in one piece.
        look_over(message.chunk(), bounds::<U>(), &mut BTreeMap::new())
            .map_err(|error| status(&error))?;
        self.0.decode(message)
    }
}

/// Of those messages that have fields without a natural end.
fn bounds<U: 'static>() -> &'static [Bound] {
    let message = TypeId::of::<U>();
    if message == TypeId::of::<ModelInferRequest>() {
        MODEL_INFER
    } else if message == TypeId::of::<PredictRequest>() {
        PREDICT
    } else {
        &[]
    }
}

/// Counts the fields of a message that are bounded. What cannot be read is left to the decoder to say.
fn look_over(
    mut message: &[u8],
    bounds: &'static [Bound],
    counts: &mut BTreeMap<&'static str, usize>,
) -> Result<(), Error> {
    if bounds.is_empty() {
        return Ok(());
    }
    while let Ok((number, wire_type)) = decode_key(&mut message) {
        let mut content: &[u8] = &[];
        if wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut message).ok();
            let length = length.and_then(|length| usize::try_from(length).ok());
            let Some((found, rest)) = length.and_then(|length| message.split_at_checked(length))
            else {
                break;
            };
            (content, message) = (found, rest);
        } else if skip_field(wire_type, number, &mut message, DecodeContext::default()).is_err() {
            break;
        }
        let Some(bound) = bounds.iter().find(|bound| bound.number == number) else {
            continue;
        };
        let count = counts.entry(bound.name).or_default();
        *count += if bound.packed && wire_type == WireType::LengthDelimited {
            content.len().div_ceil(NUMBER)
        } else {
            1
        };
        if *count > bound.most {
            return Err(Error::BadInput(format!(
                "the message has more than {} {}, which is the most that there may be",
                bound.most, bound.name
            )));
        }
        look_over(content, bound.within, counts)?;
    }
    Ok(())
}
