//! The command line.

use std::{net::TcpListener, process::Output};

use segmenter_tests::{server::command, shared};

/// What went to stdout and stderr.
fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_teaches() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let output = command(&[]).args(arguments).output().unwrap();
        let (help, _) = texts(&output);
        assert!(output.status.success(), "{help}");
        assert!(
            help.contains("Examples:") && help.contains("segmenter serve"),
            "{help}"
        );
    }
}

#[test]
fn what_cannot_work_ends_with_64_and_a_sentence() {
    for (arguments, variable, says) in [
        (&["serve", "--queue", "0"][..], None, "--queue"),
        (
            &["serve", "--fetch-allow", "10.0.0.0/99"],
            None,
            "--fetch-allow",
        ),
        (&["serve", "--model", "nonesuch"], None, "nonesuch"),
        (
            &[
                "serve",
                "--model",
                "deeplabv3_resnet50",
                "--precision",
                "int8",
            ],
            None,
            "maskrcnn_fbnetv3a_c4",
        ),
        (&["serve"], Some(("SEGMENTER_DEADLINE", "soon")), "soon"),
        (
            &["serve", "--object-store", "/nonesuch"],
            None,
            "is no folder that is there",
        ),
        (
            &["check"],
            Some(("SEGMENTER_OBJECT_STORE", "s3://key:hidden@bucket")),
            "s3://key:***@bucket has a password",
        ),
        (&["serve", "--such-a-flag"], None, "--such-a-flag"),
        (&["serve", "--log-level", "="], None, "--log-level"),
    ] {
        let output = command(&[])
            .args(arguments)
            .envs(variable)
            .output()
            .unwrap();
        let (_, error) = texts(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {error}");
        assert!(
            error.starts_with("error: ") && error.contains(says),
            "{arguments:?}: {error}"
        );
    }
}

#[test]
fn weights_of_another_digest_end_with_65() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.pt");
    std::fs::write(&file, "other").unwrap();
    let digest = "0".repeat(64);
    let output = command(&[])
        .args(["serve", "--http=127.0.0.1:0", "--grpc=127.0.0.1:0"])
        .arg("--sha256")
        .arg(&digest)
        .arg("--weights")
        .arg(&file)
        .output()
        .unwrap();
    let (_, error) = texts(&output);
    assert_eq!(output.status.code(), Some(65), "{error}");
    assert!(
        error.contains(&digest) && error.contains("other.pt"),
        "{error}"
    );
}

#[test]
fn the_effective_settings_are_told_with_their_origin() {
    let output = command(&[])
        .args(["serve", "--print-config", "--queue", "5"])
        .env("SEGMENTER_GRACE", "7s")
        .env("SEGMENTER_OBJECT_STORE", "s3://key:hidden@bucket/a")
        .output()
        .unwrap();
    let (config, _) = texts(&output);
    assert!(output.status.success(), "{config}");
    let line = |flag: &str| {
        let flag = format!("--{flag} ");
        let line = config.lines().find(|line| line.starts_with(&flag));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("queue"), "--queue 5 # command line");
    assert_eq!(line("grace"), "--grace 7s # environment");
    assert_eq!(line("http"), "--http [::]:8080 # default");
    assert_eq!(
        line("object-store"),
        "--object-store s3://key:***@bucket/a # environment"
    );
    let help = command(&[])
        .args(["serve", "--help"])
        .env("SEGMENTER_OBJECT_STORE", "s3://key:hidden@bucket/a")
        .output()
        .unwrap();
    for text in [config, texts(&help).0] {
        assert!(
            text.contains("--object-store") && !text.contains("hidden"),
            "{text}"
        );
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |variables: &[(&str, &str)]| {
        let output = command(&[])
            .args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
            .env("SEGMENTER_MODEL_DIR", folder.path())
            .env("SEGMENTER_OFFLINE", "true")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (output.status.code(), texts(&output).1)
    };
    // Where a model is named, as the operator always does, nothing else answers in its place.
    let (code, error) = serve(&[("SEGMENTER_MODEL", "maskrcnn_fbnetv3a_c4")]);
    assert_eq!(code, Some(1), "{error}");
    assert!(
        error.contains("error: ") && error.contains("segmenter pull maskrcnn_fbnetv3a_c4"),
        "{error}"
    );
    let file = ("SEGMENTER_WEIGHTS", "/nonesuch.pt");
    let (code, error) = serve(&[file]);
    assert!(code == Some(1) && error.contains("/nonesuch.pt"), "{error}");
    let (code, error) = serve(&[("SEGMENTER_MODEL", "centermask_notes"), file]);
    assert!(code == Some(64) && error.contains("--weights"), "{error}");
    // Nor where its file is not what it should be.
    let damaged = folder.path().join("d2go_mask_rcnn_fbnetv3a_c4_int8.pt");
    std::fs::write(damaged, "damaged").unwrap();
    let (code, error) = serve(&[]);
    assert!(code == Some(65) && error.contains("SHA-256"), "{error}");

    let Some(shared) = shared("a_server_that_cannot_start_says_why") else {
        return;
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(&[])
        .args([
            "serve",
            "--offline",
            "--http",
            &address,
            "--grpc",
            "127.0.0.1:0",
            "--model-dir",
        ])
        .arg(shared.join("weights"))
        .output()
        .unwrap();
    let (_, error) = texts(&output);
    assert!(!output.status.success());
    assert!(error.contains(&address), "{error}");
}

#[test]
fn a_demonstration_takes_nothing_but_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| {
        let output = command(&[])
            .arg("demo")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let (text, error) = texts(&output);
        (output.status.code(), text, error)
    };
    let (code, text, error) = demo(&[]);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        text.contains("stickynote") && text.contains(" ms") && text.contains("demo.png"),
        "{text}"
    );
    let picture = std::fs::read(folder.path().join("demo.png")).unwrap();
    let picture = image::load_from_memory_with_format(&picture, image::ImageFormat::Png);
    let picture = picture.unwrap().into_rgb8();
    let plain = segmenter_tests::pictures::board();
    assert_eq!(picture.dimensions(), plain.dimensions());
    assert!(picture != plain, "nothing is drawn on it");

    let (code, _, error) = demo(&["--seed=5", "--out=other.png"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        image::open(folder.path().join("other.png"))
            .unwrap()
            .into_rgb8()
            != picture
    );
    let (code, _, error) = demo(&["--out=nonesuch/demo.png"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot write nonesuch/demo.png"), "{error}");
}

#[test]
fn pictures_of_notes_are_predicted_without_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let board = folder.path().join("board.png");
    segmenter_tests::pictures::board().save(&board).unwrap();
    let output = command(&[])
        .args(["predict", "--json", "--model-dir"])
        .arg(folder.path())
        .arg(&board)
        .output()
        .unwrap();
    let (lines, error) = texts(&output);
    assert!(output.status.success(), "{error}");
    assert!(
        error.contains("segmenter pull maskrcnn_fbnetv3a_c4"),
        "{error}"
    );
    let reply: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!(reply["model"], "centermask_notes");
    let found = reply["detections"].as_array().unwrap();
    assert!(
        found.iter().any(|found| found["label"] == "stickynote"),
        "{reply}"
    );
}

#[test]
fn pictures_are_predicted_without_a_server() {
    let Some(shared) = shared("pictures_are_predicted_without_a_server") else {
        return;
    };
    let drawn = tempfile::tempdir().unwrap();
    let output = command(&[])
        .args(["predict", "--offline", "--json", "--draw"])
        .arg(drawn.path().join("drawn.png"))
        .arg("--model-dir")
        .arg(shared.join("weights"))
        .arg(shared.join("images/coco-val/000000001268.jpg"))
        .output()
        .unwrap();
    let (lines, error) = texts(&output);
    assert!(output.status.success(), "{error}");
    let reply: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    let found = reply["detections"].as_array().unwrap();
    assert!(
        found.iter().any(|found| found["label"] == "person"),
        "{reply}"
    );
    let drawn = image::open(drawn.path().join("drawn.png")).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (640, 427));
}

#[test]
fn what_is_found_is_cut_out_from_left_to_right() {
    let Some(shared) = shared("what_is_found_is_cut_out_from_left_to_right") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [pictures, out] = ["pictures", "out"].map(|name| folder.path().join(name));
    std::fs::create_dir(&pictures).unwrap();
    let street = pictures.join("street.jpg");
    std::fs::copy(shared.join("images/coco-val/000000001268.jpg"), &street).unwrap();
    let grey = image::RgbImage::from_pixel(120, 80, image::Rgb([128; 3]));
    grey.save(pictures.join("grey.bmp")).unwrap();
    let predict = |crops: &std::path::Path| {
        let output = command(&[])
            .args(["predict", "--offline", "--json", "--threshold", "0.65"])
            .arg("--model-dir")
            .arg(shared.join("weights"))
            .arg("--crops")
            .arg(crops)
            .arg(&pictures)
            .output()
            .unwrap();
        let (lines, error) = texts(&output);
        (output.status.code(), lines, error)
    };
    let (code, lines, error) = predict(&out);
    assert_eq!(code, Some(0), "{error}");
    let reply = lines.lines().find(|line| line.contains("street.jpg"));
    let reply: serde_json::Value = serde_json::from_str(reply.unwrap()).unwrap();
    let mut boxes: Vec<_> = reply["detections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| ["x0", "y0", "x1", "y1"].map(|side| found["box"][side].as_f64().unwrap()))
        .collect();
    boxes.sort_by(|a, b| a[0].total_cmp(&b[0]));
    assert!(boxes.len() > 1);

    let mut expected = vec!["grey.png".to_owned(), "grey_coord.txt".to_owned()];
    expected.extend(["street.jpg".to_owned(), "street_coord.txt".to_owned()]);
    let mut centres = String::new();
    for (number, corners) in (1..).zip(boxes) {
        let [x0, y0, x1, y1] = corners.map(|corner| corner as u32);
        let name = format!("street_{number}.jpg");
        let crop = image::open(out.join(&name)).unwrap();
        assert_eq!([crop.width(), crop.height()], [x1 - x0, y1 - y0], "{name}");
        centres += &format!("({}, {})\n", (y0 + y1) / 2, (x0 + x1) / 2);
        expected.push(name);
    }
    let read = |name| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(read("street_coord.txt"), centres);
    assert_eq!(read("grey_coord.txt"), "");
    let drawn = image::open(out.join("street.jpg")).unwrap().into_rgb8();
    let original = image::open(&street).unwrap().into_rgb8();
    assert_eq!(drawn.dimensions(), original.dimensions());
    assert!(drawn != original);
    let files = std::fs::read_dir(&out).unwrap();
    let mut found: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    // The pictures themselves are left alone.
    let (code, _, error) = predict(&pictures);
    assert!(
        code == Some(1) && error.contains("would write over"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(&pictures).unwrap().count(), 2);
}

#[test]
fn a_picture_that_cannot_be_read_fails_alone() {
    let Some(shared) = shared("a_picture_that_cannot_be_read_fails_alone") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.jpg");
    std::fs::write(&text, "no picture").unwrap();
    let output = command(&[])
        .args(["predict", "--offline", "--json", "--model-dir"])
        .arg(shared.join("weights"))
        .arg(&text)
        .arg(shared.join("images/coco-val/000000001268.jpg"))
        .output()
        .unwrap();
    let (lines, error) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("text.jpg"), "{error}");
    assert!(lines.contains("\"detections\""), "{lines}");
}

#[test]
fn models_and_check_tell_what_is_there() {
    let Some(shared) = shared("models_and_check_tell_what_is_there") else {
        return;
    };
    let weights = shared.join("weights");
    let run = |arguments: &[&str]| {
        let output = command(&[])
            .args(arguments)
            .arg("--model-dir")
            .arg(&weights)
            .output()
            .unwrap();
        let (text, error) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {error}");
        text
    };
    let models = run(&["models"]);
    let line = |name: &str| {
        models
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    assert!(line("maskrcnn_fbnetv3a_c4 ").contains(" yes "), "{models}");
    assert!(line("maskrcnn_resnet50_fpn ").contains(" no "), "{models}");
    assert!(line("centermask_notes ").contains(" yes "), "{models}");
    let models = run(&["models", "--json"]);
    let models: serde_json::Value = serde_json::from_str(&models).unwrap();
    let built_in = models.as_array().unwrap().iter();
    let built_in = built_in.filter(|model| model["built_in"] == true);
    assert!(
        built_in
            .map(|model| &model["name"])
            .eq(["centermask_notes"])
    );

    let ports = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let check = run(&[&["check", "--offline"][..], &ports].concat());
    assert!(check.contains("would work"), "{check}");
    // Another model that is not there, or is none.
    let other = tempfile::NamedTempFile::new().unwrap();
    let onnx = other.path().to_str().unwrap();
    for more in [["--more-models", "maskrcnn_resnet50_fpn"], ["--onnx", onnx]] {
        let output = command(&[])
            .args([&["check", "--offline"][..], &ports, &more].concat())
            .arg("--model-dir")
            .arg(&weights)
            .output()
            .unwrap();
        let (text, error) = texts(&output);
        assert!(!output.status.success(), "{more:?}: {text}");
        assert!(error.starts_with("error: "), "{more:?}: {error}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_panic() {
    use std::process::Stdio;
    let mut child = command(&[])
        .args(["predict", "--json", "nonesuch.jpg", "nonesuch.png"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (_, error) = texts(&child.wait_with_output().unwrap());
    assert!(!error.contains("panicked"), "{error}");
}
