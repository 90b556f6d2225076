//! Whether the default model answers as well as it must, whatever it calculates with.

use segmenter_tests::{
    Server,
    quality::{self, Numbers},
    shared,
};

#[tokio::test]
async fn the_default_model_answers_well_enough_in_floats() {
    measure(
        "the_default_model_answers_well_enough_in_floats",
        Numbers::F32,
    )
    .await;
}

#[tokio::test]
async fn the_default_model_answers_well_enough_in_integers() {
    measure(
        "the_default_model_answers_well_enough_in_integers",
        Numbers::Int8,
    )
    .await;
}

async fn measure(test: &str, numbers: Numbers) {
    let Some(shared) = shared(test) else {
        return;
    };
    let Some(server) = Server::start(test, &numbers.arguments()).await else {
        return;
    };
    let report = quality::measure(&server, numbers, &shared).await;
    println!("{report}");
    assert!(report.passes(), "\n{report}");
}
