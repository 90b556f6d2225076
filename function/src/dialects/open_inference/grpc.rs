//! The protocol over gRPC: `inference.GRPCInferenceService`.

use std::{collections::HashMap, sync::Arc};

use segmenter_models::catalogue::Entry;
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use tonic::{Request, Response, Status};

use super::{
    Asked, InferParameters, ModelMetadata, SERVER, TensorMetadata, VERSION,
    outputs::Tensor,
    tensor::{Contents, Given},
};
use crate::{
    error::Error,
    grpc::{
        LARGEST_REPLY,
        inference::{
            InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
            ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
            ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
            ServerReadyRequest, ServerReadyResponse,
            grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer},
            infer_parameter::ParameterChoice,
            model_infer_request::InferInputTensor,
            model_infer_response::InferOutputTensor,
            model_metadata_response,
        },
        status, ticket,
    },
    service::{Segmenter, Served, Ticket},
};

/// With messages of up to `largest` bytes from clients.
pub(crate) fn service(
    segmenter: Arc<Segmenter>,
    largest: usize,
) -> GrpcInferenceServiceServer<OpenInference> {
    GrpcInferenceServiceServer::new(OpenInference { segmenter })
        .max_decoding_message_size(largest)
        .max_encoding_message_size(LARGEST_REPLY)
}

pub(crate) struct OpenInference {
    segmenter: Arc<Segmenter>,
}

#[tonic::async_trait]
impl GrpcInferenceService for OpenInference {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        let live = self.segmenter.stalled().is_none();
        Ok(Response::new(ServerLiveResponse { live }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.segmenter.readiness().is_ready();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let served = self.served(&name, &version);
        let served = served.map_err(|error| status(&error))?;
        let ready = self.segmenter.is_ready(served);
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER.name.to_owned(),
            version: SERVER.version.to_owned(),
            extensions: texts(SERVER.extensions),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let served = self.served(&name, &version);
        let entry = served.map_err(|error| status(&error))?.entry;
        let metadata = ModelMetadata::new(entry);
        Ok(Response::new(ModelMetadataResponse {
            name: metadata.name.to_owned(),
            versions: texts(&metadata.versions),
            platform: metadata.platform.to_owned(),
            inputs: metadata.inputs.into_iter().map(Into::into).collect(),
            outputs: metadata.outputs.into_iter().map(Into::into).collect(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let ticket = ticket(&self.segmenter, request.extensions())?;
        let response = self.infer(&ticket, request.into_inner()).await;
        response.map(Response::new).map_err(|error| status(&error))
    }
}

impl OpenInference {
    fn served(&self, name: &str, version: &str) -> Result<&Served, Error> {
        let version = (!version.is_empty()).then_some(version);
        super::served(&self.segmenter, name, version)
    }

    async fn infer(
        &self,
        ticket: &Ticket,
        mut request: ModelInferRequest,
    ) -> Result<ModelInferResponse, Error> {
        let served = self.served(&request.model_name, &request.model_version)?;
        let entry = served.entry;
        let id = std::mem::take(&mut request.id);
        let asked = self.segmenter.cpu(move || read(entry, request));
        let asked = asked.await??;
        super::infer(&self.segmenter, ticket, asked, move |tensors| {
            Ok(response(entry, id, tensors))
        })
        .await
    }
}

/// Takes a request apart.
fn read(entry: &'static Entry, request: ModelInferRequest) -> Result<Asked, Error> {
    let input = super::only_input(request.inputs)?;
    let image = given(input, request.raw_input_contents)?;
    let parameters = parameters(request.parameters)?;
    let outputs = request.outputs.iter().map(|output| &*output.name);
    Asked::new(entry, image, &parameters, outputs)
}

/// A tensor with its elements, which are raw or in their field.
fn given(input: InferInputTensor, raw: Vec<Vec<u8>>) -> Result<Given, Error> {
    let contents = match (input.contents, <[_; 1]>::try_from(raw)) {
        (None, Ok([raw])) => Contents::Raw(raw.into()),
        (Some(contents), Err(raw)) if raw.is_empty() => typed(contents)?,
        (_, raw) => {
            let raw = raw.map_or_else(|raw| raw.len(), |_| 1);
            return Err(Error::BadInput(format!(
                "the input {:?} has {raw} raw_input_contents, expected one, or contents",
                input.name
            )));
        }
    };
    Ok(Given {
        name: input.name,
        datatype: input.datatype,
        shape: input.shape,
        contents,
    })
}

/// Of all fields, those of the datatypes that a picture has.
fn typed(contents: InferTensorContents) -> Result<Contents, Error> {
    match <[_; 1]>::try_from(contents.bytes_contents) {
        Ok([element]) => return Ok(Contents::Element(element.into())),
        Err(elements) if elements.is_empty() => {}
        Err(elements) => {
            return Err(Error::BadInput(format!(
                "there are {} bytes_contents, expected one picture",
                elements.len()
            )));
        }
    }
    let samples = contents.uint_contents.into_iter().map(|sample| {
        u8::try_from(sample)
            .map_err(|_| Error::BadInput(format!("uint_contents has {sample}, expected 0 to 255")))
    });
    Ok(Contents::Samples(samples.collect::<Result<_, _>>()?))
}

/// They mean what they do in JSON.
fn parameters(parameters: HashMap<String, InferParameter>) -> Result<InferParameters, Error> {
    let parameters = parameters.into_iter().map(|(name, parameter)| {
        let value = match parameter.parameter_choice {
            Some(ParameterChoice::BoolParam(value)) => value.into(),
            Some(ParameterChoice::Int64Param(value)) => value.into(),
            Some(ParameterChoice::Uint64Param(value)) => value.into(),
            Some(ParameterChoice::StringParam(value)) => value.into(),
            Some(ParameterChoice::DoubleParam(value)) => {
                let number = Number::from_f64(value).ok_or_else(|| {
                    Error::BadInput(format!("{name} is {value}, expected a number"))
                });
                number?.into()
            }
            None => Value::Null,
        };
        Ok((name, value))
    });
    let parameters: Map<_, _> = parameters.collect::<Result<_, Error>>()?;
    InferParameters::deserialize(Value::Object(parameters))
        .map_err(|error| Error::BadInput(format!("the parameters cannot be read: {error}")))
}

fn response(entry: &'static Entry, id: String, tensors: Vec<Tensor>) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: entry.name.to_owned(),
        model_version: VERSION.to_owned(),
        id,
        ..ModelInferResponse::default()
    };
    for tensor in tensors {
        response.outputs.push(InferOutputTensor {
            name: tensor.output.name().to_owned(),
            datatype: tensor.elements.datatype().name().to_owned(),
            shape: tensor.shape.iter().map(|side| *side as i64).collect(),
            ..InferOutputTensor::default()
        });
        let raw = tensor.elements.into_raw();
        response.raw_output_contents.push(raw);
    }
    response
}

impl From<TensorMetadata> for model_metadata_response::TensorMetadata {
    fn from(tensor: TensorMetadata) -> Self {
        Self {
            name: tensor.name.to_owned(),
            datatype: tensor.datatype.to_owned(),
            shape: tensor.shape.to_vec(),
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
