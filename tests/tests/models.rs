//! Models beside the default one, through the server.

use segmenter_tests::{Server, http::json, shared};
use serde_json::Value;

#[tokio::test]
async fn a_semantic_segmenter_answers_regions_with_outlines() {
    let test = "a_semantic_segmenter_answers_regions_with_outlines";
    let Some(shared) = shared(test) else {
        return;
    };
    let Some(server) = Server::start(test, &["--model", "deeplabv3_mnv2_pascal"]).await else {
        return;
    };
    let (_, models) = json(server.get("/v1/models").await).await;
    assert_eq!(models["models"][0]["name"], "deeplabv3_mnv2_pascal");
    assert_eq!(models["models"][0]["task"], "semantic-segmentation");

    let picture = std::fs::read(shared.join("images/max/stc.jpg")).unwrap();
    let (status, reply) = json(server.post("/v1/predict", picture.clone()).await).await;
    assert_eq!(status, 200, "{reply}");
    let regions = reply["detections"].as_array().unwrap();
    assert!(!regions.is_empty(), "{reply}");
    let (width, height) = (
        reply["width"].as_u64().unwrap(),
        reply["height"].as_u64().unwrap(),
    );
    for region in regions {
        let rle = &region["mask"]["rle"];
        assert_eq!(rle["size"], serde_json::json!([height, width]), "{region}");
        let [height, width] = [height, width].map(|side| u32::try_from(side).unwrap());
        let counts = rle["counts"].as_str().unwrap();
        assert!(hotcoco::mask::area_from_string(counts, height, width).unwrap() > 0);
    }

    let (_, names) = json(server.post("/predict", picture).await).await;
    let labels: Vec<&Value> = regions.iter().map(|region| &region["label"]).collect();
    assert_eq!(names["objects"], serde_json::json!(labels));
}
