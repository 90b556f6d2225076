//! What clients of "wowboard-detector" send and expect, and what an object store keeps of it.
#![expect(
    clippy::unwrap_used,
    reason = "what fails beside a test fails it as well"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::body::Bytes;
use futures_util::{StreamExt as _, stream};
use image::{Rgb, RgbImage, imageops::rotate270};
use reqwest::{
    Method, RequestBuilder, header,
    multipart::{Form, Part},
};
use segmenter_tests::{
    S3, Server,
    http::json,
    pictures,
    s3::{BUCKET, Manner},
    shared,
};
use serde_json::{Value, json};
use tokio::time::sleep;

/// The model that is built in, and answers though the server's first is another.
const MODEL: &str = "centermask_notes";

/// With a board and notes on it.
fn picture() -> Vec<u8> {
    pictures::jpeg(&pictures::board())
}

/// On which nothing is found.
fn grey() -> Vec<u8> {
    pictures::png(&RgbImage::from_pixel(120, 80, Rgb([128; 3])))
}

fn upload(server: &Server, picture: Vec<u8>, file_name: &str) -> RequestBuilder {
    let part = Part::bytes(picture).file_name(file_name.to_owned());
    let request = server.client().post(server.url("/upload"));
    request.multipart(Form::new().part("file", part))
}

/// The reply to an upload that all went well with.
async fn uploaded(server: &Server, picture: Vec<u8>, file_name: &str) -> Value {
    let response = upload(server, picture, file_name).send().await.unwrap();
    let (status, reply) = json(response).await;
    assert_eq!(
        (status.as_u16(), &reply["status"]),
        (200, &json!("success")),
        "{reply}"
    );
    reply
}

/// A failure in JSON.
async fn failure(request: RequestBuilder) -> Value {
    let (status, reply) = json(request.send().await.unwrap()).await;
    assert_eq!(status, 500, "{reply}");
    let traceback = reply["traceback"].as_str().unwrap();
    assert!((1..=50).contains(&traceback.chars().count()), "{reply}");
    reply
}

/// The boxes in pixels, `[x0, y0, x1, y1]`, and the scores of what the main API is certain of, where it is asked for the
/// model of notes and boards, and the picture's size.
async fn certain(server: &Server, picture: Vec<u8>) -> (Vec<([f32; 4], f32)>, [f32; 2]) {
    let response = server
        .post(
            &format!("/v1/predict?threshold=0.65&model={MODEL}"),
            picture,
        )
        .await;
    let (status, reply) = json(response).await;
    assert_eq!(status, 200, "{reply}");
    let float = |value: &Value| value.as_f64().unwrap() as f32;
    let found = reply["detections"].as_array().unwrap().iter();
    let found = found.map(|found| {
        let corners = ["x0", "y0", "x1", "y1"].map(|side| float(&found["box"][side]));
        (corners, float(&found["score"]))
    });
    let found = found.filter(|(_, score)| f64::from(*score) > 0.65);
    (
        found.collect(),
        [float(&reply["width"]), float(&reply["height"])],
    )
}

/// `[width, height]` of what is cut out of each box.
fn crop_sizes(found: &[([f32; 4], f32)]) -> Vec<[u32; 2]> {
    let side = |from: f32, to: f32| (to as u32 - from as u32).max(1);
    let sizes = found
        .iter()
        .map(|([x0, y0, x1, y1], _)| [side(*x0, *x1), side(*y0, *y1)]);
    sizes.collect()
}

/// `[width, height]` of an encoded picture, all of which is there.
fn size(bytes: &[u8]) -> [u32; 2] {
    let picture = image::load_from_memory(bytes).unwrap();
    [picture.width(), picture.height()]
}

#[tokio::test]
async fn an_upload_is_answered_with_boxes_in_parts_of_the_picture() {
    let test = "an_upload_is_answered_with_boxes_in_parts_of_the_picture";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    let picture = picture();
    let decoded = image::load_from_memory(&picture).unwrap().into_rgb8();
    // Nothing is found on it unless it is turned as its EXIF data says.
    let turned = pictures::jpeg_with_orientation(&rotate270(&decoded), 6);
    for picture in [picture, turned] {
        let (found, [width, height]) = certain(&server, picture.clone()).await;
        assert!(!found.is_empty());
        assert!(width > height);
        let boxes: Vec<_> = found
            .iter()
            .map(|([x0, y0, x1, y1], _)| {
                [y0 / height, x0 / width, y1 / height, x1 / width].map(f64::from)
            })
            .collect();
        let scores: Vec<_> = found.iter().map(|(_, score)| f64::from(*score)).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b));
        let mut reply = uploaded(&server, picture, "picture.jpg").await;
        reply["task_id"].take();
        let expected = json!({
            "status": "success",
            "task_id": null,
            "num_detections": found.len(),
            "score": scores,
            "boxes": boxes,
        });
        assert_eq!(reply, expected);
    }

    let reply = uploaded(&server, grey(), "grey.png").await;
    assert_eq!(reply.as_object().unwrap().len(), 2, "{reply}");
    let id = reply["task_id"].as_str().unwrap();
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    assert_eq!(&id[14..15], "4", "{id}");
}

#[tokio::test]
async fn notes_are_found_though_others_are_asked_for() {
    let test = "notes_are_found_though_others_are_asked_for";
    // All of which is said of the first model.
    let flags = ["--classes=person", "--threshold=0.9", "--precision=int8"];
    let Some(server) = Server::start(test, &flags).await else {
        return;
    };
    let models = async || {
        let (_, reply) = json(server.get("/v1/models").await).await;
        let models = reply["models"].as_array().unwrap().clone();
        models
            .into_iter()
            .map(|model| (model["name"].clone(), model["loaded"].clone()))
            .collect::<Vec<_>>()
    };
    let first = (json!("maskrcnn_fbnetv3a_c4"), json!(true));
    assert_eq!(
        models().await,
        [first.clone(), (json!(MODEL), json!(false))]
    );
    let reply = uploaded(&server, picture(), "board.jpg").await;
    assert!(reply["num_detections"].as_u64() > Some(0), "{reply}");
    server.logged("now that it is asked for").await;
    assert_eq!(models().await, [first, (json!(MODEL), json!(true))]);

    let (_, names) = json(server.post("/predict", picture()).await).await;
    assert_eq!(names, json!({"objects": []}));
}

#[tokio::test]
async fn those_who_come_first_wait_together() {
    let test = "those_who_come_first_wait_together";
    let Some(server) = Server::start(test, &[]).await else {
        return;
    };
    // One leaves before it is loaded, and costs the others nothing.
    let impatient = upload(&server, picture(), "a.jpg").header("x-request-timeout-ms", "1");
    assert_eq!(failure(impatient).await["Error"], "detection failed");
    let replies = stream::iter(0..8)
        .map(|_| uploaded(&server, picture(), "a.jpg"))
        .buffer_unordered(8)
        .map(|reply| reply["boxes"].clone());
    let replies: Vec<_> = replies.collect().await;
    assert!(
        replies
            .iter()
            .all(|boxes| boxes == &replies[0] && !boxes.is_null())
    );
    let loaded = server
        .log()
        .into_iter()
        .filter(|line| line.contains("now that it is asked for"));
    assert_eq!(loaded.count(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_told_as_there() {
    let test = "what_is_wrong_is_told_as_there";
    let Some(server) = Server::start(test, &["--max-body", "200kB"]).await else {
        return;
    };
    let picture = picture();
    let form = |field: &'static str| {
        let form = Form::new().part(field, Part::bytes(picture.clone()));
        let request = server.client().post(server.url("/upload"));
        request.multipart(form)
    };
    let cut = picture[..picture.len() / 2].to_vec();
    let large = vec![0xff; 300_000];
    let post = || server.client().post(server.url("/upload"));
    for (request, status, heading) in [
        (form("image"), 400, "Bad Request"),
        (post(), 400, "Bad Request"),
        // Without a form there is no field, whatever is sent.
        (post().body("hello"), 400, "Bad Request"),
        (
            upload(&server, b"no picture".to_vec(), "a.jpg"),
            500,
            "Internal Server Error",
        ),
        (upload(&server, cut, "a.jpg"), 500, "Internal Server Error"),
        (upload(&server, large, "a.jpg"), 413, "Payload Too Large"),
        (
            server.client().get(server.url("/upload")),
            405,
            "Method Not Allowed",
        ),
    ] {
        let response = request.send().await.unwrap();
        let headers = response.headers().clone();
        assert_eq!(response.status(), status, "{heading}");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(
            headers
                .get(header::ALLOW)
                .map(|allow| allow.to_str().unwrap()),
            (status == 405).then_some("POST, OPTIONS")
        );
        let page = response.text().await.unwrap();
        assert!(page.contains(&format!("<h1>{heading}</h1>")), "{page}");
    }
    let options = server
        .client()
        .request(Method::OPTIONS, server.url("/upload"));
    assert_eq!(options.send().await.unwrap().status(), 200);

    let late = upload(&server, picture.clone(), "a.jpg").header("x-request-timeout-ms", "1");
    assert_eq!(failure(late).await["Error"], "detection failed");

    // Before the model is there.
    let weights = shared(test).unwrap().join("weights");
    let server = Server::spawn(&weights, &[], &[]);
    let early = loop {
        if let Ok(response) = upload(&server, picture.clone(), "a.jpg").send().await {
            break json(response).await;
        }
    };
    assert_eq!(
        (early.0.as_u16(), &early.1["Error"]),
        (500, &json!("detection failed"))
    );
}

#[tokio::test]
async fn a_folder_keeps_the_picture_and_its_objects() {
    let test = "a_folder_keeps_the_picture_and_its_objects";
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--object-store=file://{}", folder.path().display());
    let Some(server) = Server::start(test, &[&flag]).await else {
        return;
    };
    let picture = picture();
    let stored = |reply: &Value| {
        let task = folder.path().join(reply["task_id"].as_str().unwrap());
        let files = fs::read_dir(task).unwrap().map(|file| file.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = files.map(|path| (name(&path), fs::read(path).unwrap()));
        files.collect::<BTreeMap<_, _>>()
    };
    let (found, _) = certain(&server, picture.clone()).await;
    let reply = uploaded(&server, picture.clone(), "Street.JPEG").await;
    let task = reply["task_id"].as_str().unwrap();
    let mut files = stored(&reply);
    assert_eq!(files.remove(&format!("{task}.JPEG")), Some(picture.clone()));
    let names = || (0..found.len()).map(|index| format!("obj_{index}.png"));
    assert!(files.keys().cloned().collect::<BTreeSet<_>>() == names().collect());
    let sizes: Vec<_> = names().map(|name| size(&files[&name])).collect();
    assert_eq!(sizes, crop_sizes(&found));
    let root = folder.path().canonicalize().unwrap();
    let addresses: Vec<_> = names()
        .map(|name| format!("file://{}/{task}/{name}", root.display()))
        .collect();
    assert_eq!(reply["object_id"], json!(addresses));

    // The pixels are those of the picture.
    let whole = image::load_from_memory(&picture).unwrap().into_rgb8();
    let crop = image::load_from_memory(&files["obj_0.png"])
        .unwrap()
        .into_rgb8();
    let [x0, y0, ..] = found[0].0;
    for (x, y, pixel) in crop.enumerate_pixels() {
        let original = whole.get_pixel(x0 as u32 + x, y0 as u32 + y);
        let apart = (0..3).map(|channel| pixel.0[channel].abs_diff(original.0[channel]));
        assert!(apart.max() <= Some(4), "{pixel:?} {original:?}");
    }

    // Where nothing is certain, and without a name that says what it is.
    let reply = uploaded(&server, grey(), "grey").await;
    assert_eq!(reply.as_object().unwrap().len(), 2, "{reply}");
    let name = format!("{}.png", reply["task_id"].as_str().unwrap());
    assert_eq!(stored(&reply), BTreeMap::from([(name, grey())]));

    // It is a folder no more.
    let moved = folder.path().with_extension("moved");
    fs::rename(folder.path(), &moved).unwrap();
    fs::write(folder.path(), "").unwrap();
    let reply = failure(upload(&server, picture, "a.jpg")).await;
    assert_eq!(reply["Error"], "storage failed");
    fs::remove_file(folder.path()).unwrap();
    fs::rename(moved, folder.path()).unwrap();
    // What was stored of it is not there; what was before is.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    // Callers are not told where it is, the log tells why.
    server.logged("did not take everything").await;
    server.logged("LocalFileSystem").await;
}

/// A server that stores in `s3` under a prefix.
async fn start_with(test: &str, s3: &S3) -> Option<Server> {
    let weights = shared(test)?.join("weights");
    let flag = format!("--object-store=s3://{BUCKET}/a/b");
    let variables = s3.variables();
    let variables: Vec<_> = variables.iter().map(String::as_str).collect();
    let server = Server::spawn(&weights, &[&flag], &variables);
    server.wait_until_ready().await
}

/// Waits until it has no more objects.
async fn until_empty(s3: &S3) {
    let begin = Instant::now();
    while !s3.objects().is_empty() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{:?}",
            s3.objects().keys()
        );
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_bucket_has_all_of_an_upload_or_nothing() {
    let test = "a_bucket_has_all_of_an_upload_or_nothing";
    let s3 = S3::start();
    let Some(server) = start_with(test, &s3).await else {
        return;
    };
    let picture = picture();
    // The original is refused, when all else is there.
    s3.behave(Manner::Denying(".jpg"));
    let reply = failure(upload(&server, picture.clone(), "a.jpg")).await;
    let expected = json!({
        "Error": "storage failed",
        "traceback": "the object store did not take everything",
    });
    assert_eq!(reply, expected);
    until_empty(&s3).await;
    s3.behave(Manner::Denying("obj_1.png"));
    let reply = failure(upload(&server, picture.clone(), "a.jpg")).await;
    assert_eq!(reply["Error"], "storage failed");
    until_empty(&s3).await;

    // The time is up before it answers.
    s3.behave(Manner::Holding(".jpg"));
    let begin = Instant::now();
    let impatient =
        upload(&server, picture.clone(), "a.jpg").header("x-request-timeout-ms", "3000");
    let reply = failure(impatient).await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let expected = json!({
        "Error": "storage failed",
        "traceback": "the object store did not take everything in time",
    });
    assert_eq!(reply, expected);
    assert!(s3.objects().keys().any(|name| name.ends_with("/obj_0.png")));
    s3.behave(Manner::Storing);
    until_empty(&s3).await;

    // The caller leaves.
    s3.behave(Manner::Holding(".jpg"));
    let left = tokio::spawn(upload(&server, picture.clone(), "a.jpg").send());
    let (found, _) = certain(&server, picture.clone()).await;
    while s3.objects().len() < found.len() {
        sleep(Duration::from_millis(10)).await;
    }
    left.abort();
    server.logged("the caller left").await;
    s3.behave(Manner::Storing);
    until_empty(&s3).await;

    // And all is well again.
    let reply = uploaded(&server, picture.clone(), "a.jpg").await;
    let task = reply["task_id"].as_str().unwrap();
    let objects = s3.objects();
    assert_eq!(objects.len(), 1 + found.len());
    let original = &objects[&format!("a/b/{task}/{task}.jpg")];
    assert_eq!(
        (&*original.media_type, &*original.bytes),
        ("image/jpeg", &*picture)
    );
    for (index, address) in reply["object_id"].as_array().unwrap().iter().enumerate() {
        let name = format!("a/b/{task}/obj_{index}.png");
        assert_eq!(address, &format!("s3://{BUCKET}/{name}"));
        assert_eq!(objects[&name].media_type, "image/png");
        assert_eq!(size(&objects[&name].bytes), crop_sizes(&found)[index]);
    }
}

/// Pictures on which something is certain, with the sizes of what is cut out of them.
async fn pictures_with_objects(server: &Server, count: usize) -> Vec<(Vec<u8>, Vec<[u32; 2]>)> {
    let mut pictures = Vec::new();
    for seed in 0..2000 {
        let picture = pictures::jpeg(&pictures::notes(seed));
        let (found, _) = certain(server, picture.clone()).await;
        if !found.is_empty() {
            pictures.push((picture, crop_sizes(&found)));
        }
        if pictures.len() == count {
            break;
        }
    }
    assert_eq!(pictures.len(), count);
    pictures
}

/// Looks at tasks in a store: of those that have their original, all is there and whole.
struct Auditor {
    /// What is cut out, by the picture.
    crops: HashMap<Bytes, Vec<[u32; 2]>>,
    /// Tasks that were seen to be whole.
    whole: BTreeSet<String>,
}

impl Auditor {
    fn new(pictures: &[(Vec<u8>, Vec<[u32; 2]>)]) -> Self {
        Self {
            crops: pictures
                .iter()
                .map(|(picture, sizes)| (Bytes::from(picture.clone()), sizes.clone()))
                .collect(),
            whole: BTreeSet::new(),
        }
    }

    /// Objects by `TASK/NAME`.
    fn look(&mut self, objects: &BTreeMap<String, Bytes>) {
        for (name, original) in objects {
            let (task, name) = name.split_once('/').unwrap();
            if name != format!("{task}.jpg") || self.whole.contains(task) {
                continue;
            }
            // All of a picture that was sent.
            let sizes = &self.crops[original];
            let crops = (0..).map_while(|index| objects.get(&format!("{task}/obj_{index}.png")));
            let found: Vec<_> = crops.map(|crop| size(crop)).collect();
            assert_eq!(&found, sizes, "{task}");
            self.whole.insert(task.to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_is_true_where_the_store_is_killed_half_way() {
    const UPLOADS: usize = 200;
    const AT_A_TIME: usize = 4;
    let test = "every_reply_is_true_where_the_store_is_killed_half_way";
    let s3 = Arc::new(S3::start());
    let Some(server) = start_with(test, &s3).await else {
        return;
    };
    let pictures = pictures_with_objects(&server, 20).await;
    let stored = |s3: &S3| -> BTreeMap<_, _> {
        let objects = s3.objects().into_iter();
        let objects = objects.map(|(name, object)| {
            let name = name.strip_prefix("a/b/").unwrap().to_owned();
            (name, object.bytes)
        });
        objects.collect()
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let auditing = {
        let (s3, is_over) = (Arc::clone(&s3), Arc::clone(&is_over));
        let mut auditor = Auditor::new(&pictures);
        tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                auditor.look(&stored(&s3));
                sleep(Duration::from_millis(1)).await;
            }
            let objects = stored(&s3);
            auditor.look(&objects);
            (auditor.whole, objects)
        })
    };
    let answered = Arc::new(AtomicUsize::new(0));
    let killer = {
        let (s3, answered) = (Arc::clone(&s3), Arc::clone(&answered));
        tokio::spawn(async move {
            // In the middle of an object.
            while answered.load(Ordering::SeqCst) < UPLOADS / 2 || s3.coming() == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            s3.kill();
        })
    };
    let mut replies = stream::iter(0..UPLOADS)
        .map(|index| {
            let (picture, sizes) = &pictures[index % pictures.len()];
            let request = upload(&server, picture.clone(), "picture.jpg");
            async move { (sizes, json(request.send().await.unwrap()).await) }
        })
        .buffer_unordered(AT_A_TIME);
    let (mut succeeded, mut failed) = (Vec::new(), 0);
    while let Some((sizes, (status, reply))) = replies.next().await {
        if status == 200 {
            succeeded.push((sizes, reply));
        } else {
            assert!(killer.is_finished(), "{reply}");
            assert_eq!(status, 500, "{reply}");
            assert_eq!(reply["Error"], "storage failed", "{reply}");
            failed += 1;
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
    is_over.store(true, Ordering::SeqCst);
    let (whole, objects) = auditing.await.unwrap();
    assert!(
        succeeded.len() >= UPLOADS / 2 && failed >= UPLOADS / 4,
        "{failed} failed"
    );
    for (sizes, reply) in &succeeded {
        let task = reply["task_id"].as_str().unwrap();
        assert!(whole.contains(task), "{task}");
        let addresses = reply["object_id"].as_array().unwrap();
        assert_eq!(addresses.len(), sizes.len());
        for address in addresses {
            let name = address.as_str().unwrap().strip_prefix("s3://uploads/a/b/");
            assert!(objects.contains_key(name.unwrap()), "{address}");
        }
    }
    // The replies to these were lost with the store, if there are any.
    let unheard = whole.len() - succeeded.len();
    assert!(unheard <= AT_A_TIME, "{unheard}");

    s3.revive();
    let (picture, _) = &pictures[0];
    uploaded(&server, picture.clone(), "picture.jpg").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_leaves_is_whole() {
    const ANSWERED: usize = 10;
    let test = "what_a_killed_server_leaves_is_whole";
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--object-store={}", folder.path().display());
    let Some(server) = Server::start(test, &[&flag]).await else {
        return;
    };
    let pictures = pictures_with_objects(&server, 8).await;
    drop(server);
    let mut auditor = Auditor::new(&pictures);
    for round in 0..4 {
        let mut server = Server::start(test, &[&flag]).await.unwrap();
        let requests: Vec<_> = (0..40)
            .map(|index| {
                upload(
                    &server,
                    pictures[index % pictures.len()].0.clone(),
                    "picture.jpg",
                )
            })
            .collect();
        let mut replies = stream::iter(requests)
            .map(RequestBuilder::send)
            .buffer_unordered(4);
        for _ in 0..ANSWERED {
            assert_eq!(replies.next().await.unwrap().unwrap().status(), 200);
        }
        // Each time at another moment of those that follow.
        sleep(Duration::from_millis(7 * round)).await;
        server.kill();

        let mut objects = BTreeMap::new();
        for task in fs::read_dir(folder.path()).unwrap() {
            for file in fs::read_dir(task.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(folder.path()).unwrap().to_str().unwrap();
                // What is not yet an object has a number behind its name.
                if !name.contains('#') {
                    let bytes = fs::read(&path).unwrap();
                    size(&bytes);
                    objects.insert(name.to_owned(), Bytes::from(bytes));
                }
            }
        }
        let before = auditor.whole.len();
        auditor.look(&objects);
        assert!(auditor.whole.len() >= before + ANSWERED);
    }
}
