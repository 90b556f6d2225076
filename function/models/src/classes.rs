//! What the classes are called.

/// The classes of COCO 2017 in the order of their ids, without the gaps between those.
pub const COCO: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

/// The classes of COCO 2017 by their own ids, 1 to 90; `""` where an id was never used, and for 0, the
/// background.
pub const COCO_BY_ID: [&str; 91] = {
    let unused = [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83];
    let mut names = [""; 91];
    let (mut id, mut next_unused, mut next_name) = (0, 0, 0);
    while id < names.len() {
        if next_unused < unused.len() && id == unused[next_unused] {
            next_unused += 1;
        } else {
            names[id] = COCO[next_name];
            next_name += 1;
        }
        id += 1;
    }
    names
};

/// The classes of Pascal VOC 2012 by their ids, 0 the background, as TensorFlow's DeepLab names them.
pub const VOC: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tv",
];

/// [`VOC`] as torchvision names them.
pub const VOC_TORCHVISION: [&str; 21] = {
    let mut names = VOC;
    names[0] = "__background__";
    names[20] = "tvmonitor";
    names
};

/// Sticky notes, and the two sides of the boards that wowboard-detector finds.
pub const NOTES: [&str; 3] = ["stickynote", "wowboard-front", "wowboard-back"];

/// The id in [`VOC`] of a class by the name that it has in any of these lists; 0 where it is none of those.
pub fn voc_id(name: &str) -> usize {
    let name = match name {
        "airplane" => "aeroplane",
        "couch" => "sofa",
        "dining table" => "diningtable",
        "motorcycle" => "motorbike",
        "potted plant" => "pottedplant",
        "tvmonitor" => "tv",
        name => name,
    };
    VOC.iter().position(|voc| *voc == name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{COCO, COCO_BY_ID, VOC_TORCHVISION, voc_id};

    #[test]
    fn ids_are_those_of_coco() {
        for (id, name) in [
            (1, "person"),
            (13, "stop sign"),
            (67, "dining table"),
            (90, "toothbrush"),
        ] {
            assert_eq!(COCO_BY_ID[id], name);
        }
        let named = COCO_BY_ID.iter().filter(|name| !name.is_empty());
        assert!(named.eq(&COCO));
    }

    #[test]
    fn every_voc_class_is_one_of_coco() {
        let of_coco: std::collections::BTreeSet<_> = COCO.iter().map(|name| voc_id(name)).collect();
        assert!(of_coco.into_iter().eq(0..=20));
        let of_torchvision = VOC_TORCHVISION.iter().map(|name| voc_id(name));
        assert!(of_torchvision.eq(0..=20));
        assert_eq!(voc_id("zebra"), 0);
    }
}
