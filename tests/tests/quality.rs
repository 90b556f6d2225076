//! Whether the default model answers as well as it must.

use segmenter_tests::{Server, quality, shared};

#[tokio::test]
async fn the_default_model_answers_well_enough() {
    let test = "the_default_model_answers_well_enough";
    let Some(shared) = shared(test) else {
        return;
    };
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let report = quality::measure(&server, &shared).await;
    println!("{report}");
    assert!(report.passes(), "\n{report}");
}
