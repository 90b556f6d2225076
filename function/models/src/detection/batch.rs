//! The pictures of a batch, together and apart.

use rayon::prelude::*;

use super::{
    answer::output,
    detections::{DetectionConfig, Found, Predictions, detections},
};
use crate::{
    blocks::{Device, DeviceKind, softmax},
    model::Output,
    prediction::Selection,
};

/// What `of` makes of each of so many, for a network on this device: on all threads where a GPU waits for it, one after
/// the other where they have work of their own.
pub fn each<T: Send>(
    device: &Device,
    count: usize,
    of: impl Fn(usize) -> T + Send + Sync,
) -> Vec<T> {
    match device.kind() {
        DeviceKind::Cpu => (0..count).map(of).collect(),
        DeviceKind::Gpu => (0..count).into_par_iter().map(of).collect(),
    }
}

/// What is of one picture in a map `[pictures, channels, height, width]`.
pub fn of_picture(values: &[f32], picture: usize, pictures: usize) -> &[f32] {
    let own = values.len() / pictures;
    &values[picture * own..][..own]
}

/// How many findings go through a mask head together: on processors as the network says, on GPUs as many as one picture
/// may have, so that memory does not grow with pictures.
pub fn findings_together(device: &Device, on_processors: usize, of_picture: usize) -> usize {
    match device.kind() {
        DeviceKind::Cpu => on_processors,
        DeviceKind::Gpu => of_picture,
    }
}

/// What there is of all pictures, one's behind another's, each with the index of its picture.
pub fn placed<T: Copy>(pictures: &[Vec<T>]) -> impl Iterator<Item = (usize, T)> {
    let pictures = pictures.iter().enumerate();
    pictures.flat_map(|(picture, own)| own.iter().map(move |&one| (picture, one)))
}

/// As [`detections`], of each picture; `logits` and `deltas` are of the proposals of all, one's behind another's.
pub fn detections_of_each(
    device: &Device,
    proposals: &[Vec<[f32; 4]>],
    [logits, deltas]: [&[f32]; 2],
    picture: [f32; 2],
    config: &DetectionConfig,
    selections: &[&Selection],
) -> Vec<Vec<Found>> {
    let counts: Vec<_> = proposals.iter().map(Vec::len).collect();
    let [logits, deltas] = [logits, deltas].map(|values| split(values, &counts));
    each(device, proposals.len(), |i| {
        let mut scores = logits[i].to_vec();
        let columns = (scores.len() / counts[i].max(1)).max(1);
        softmax(&mut scores, columns);
        let predictions = Predictions {
            proposals: &proposals[i],
            scores: &scores,
            deltas: deltas[i],
        };
        detections(&predictions, picture, config, selections[i])
    })
}

/// What a network answers for the findings of each picture. Of those that are `masked`, `masks` makes the
/// probabilities, all pictures' together: `[found, side, side]` for findings with the indices of their pictures.
pub fn outputs(
    found: &[Vec<Found>],
    masked: &[bool],
    side: usize,
    masks: impl FnOnce(&[(usize, Found)]) -> Vec<f32>,
) -> Vec<Output> {
    let wanted: Vec<_> = placed(found).filter(|&(i, _)| masked[i]).collect();
    let probabilities = if wanted.is_empty() {
        Vec::new()
    } else {
        masks(&wanted)
    };
    let counts = found.iter().zip(masked);
    let counts: Vec<_> = counts
        .map(|(found, &masked)| if masked { found.len() } else { 0 })
        .collect();
    let pictures = found.iter().zip(masked).zip(split(&probabilities, &counts));
    pictures
        .map(|((found, masked), own)| output(found, masked.then(|| (own.to_vec(), side))))
        .collect()
}

/// The values of each picture, where there are as many for every one of its items; `counts` says how many items each has.
fn split<'a>(mut values: &'a [f32], counts: &[usize]) -> Vec<&'a [f32]> {
    let item = values.len() / counts.iter().sum::<usize>().max(1);
    let pictures = counts.iter().map(|count| {
        let (own, rest) = values.split_at(count * item);
        values = rest;
        own
    });
    pictures.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        model::{Input, Model, in_batches},
        weights::seeded,
    };

    /// All that there is, nothing but boxes, and a few of the better ones of some classes.
    fn selections() -> [Selection; 3] {
        let everything = Selection {
            threshold: 0.0,
            max_detections: 20,
            classes: None,
            masks: true,
            map_size: None,
            scores: false,
        };
        let boxes = Selection {
            masks: false,
            ..everything.clone()
        };
        let some = Selection {
            threshold: 0.06,
            max_detections: 5,
            classes: Some((0..60).step_by(2).collect()),
            ..everything.clone()
        };
        [everything, boxes, some]
    }

    /// Three pictures of `size` (`[height, width]`), each another.
    pub(crate) fn three_inputs(size: [usize; 2]) -> [Input; 3] {
        let picture: Vec<_> = seeded::picture(size)
            .iter()
            .map(|x| 4.0 * x - 2.0)
            .collect();
        let backwards: Vec<_> = picture.iter().rev().copied().collect();
        let negative: Vec<_> = picture.iter().map(|x| -x).collect();
        [picture, backwards, negative].map(|planes| seeded::input(&planes, size))
    }

    /// Fails unless pictures are answered together as each is alone, and there is something on each.
    pub(crate) fn assert_same_together(
        model: &impl Model,
        detect: impl Fn(Vec<Input>, &[&Selection]) -> Vec<Output>,
        size: [usize; 2],
    ) {
        let (inputs, selections) = (three_inputs(size), selections());
        let together = detect(inputs.to_vec(), &selections.each_ref());
        assert_eq!(together.len(), inputs.len());
        let mut counts = Vec::new();
        for ((input, selection), together) in inputs.into_iter().zip(&selections).zip(&together) {
            let alone = model.forward(vec![(input, selection)]).remove(0);
            counts.push(assert_same(together, &alone, selection.masks));
        }
        println!("{counts:?} objects");
        assert!(counts.iter().all(|&count| count > 0));
    }

    /// How many objects there are in both.
    fn assert_same(together: &Output, alone: &Output, masked: bool) -> usize {
        let parts = |output: &Output| match output {
            Output::Instances {
                boxes,
                classes,
                scores,
                masks,
            } => (
                boxes.as_flattened().to_vec(),
                classes.clone(),
                scores.clone(),
                masks.clone(),
            ),
            _ => panic!("no instances"),
        };
        let (boxes, classes, scores, masks) = parts(together);
        let (alone_boxes, alone_classes, alone_scores, alone_masks) = parts(alone);
        assert_eq!(classes, alone_classes);
        assert_close(&scores, &alone_scores, 1e-4);
        assert_close(&boxes, &alone_boxes, 1e-2);
        assert_eq!([masks.is_some(), alone_masks.is_some()], [masked; 2]);
        if let (Some((masks, side)), Some((alone_masks, alone_side))) = (masks, alone_masks) {
            assert_eq!(side, alone_side);
            assert_close(&masks, &alone_masks, 1e-4);
        }
        classes.len()
    }

    pub(crate) fn assert_close(values: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(values.len(), expected.len());
        for (a, b) in values.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance, "{a} instead of {b}");
        }
    }

    #[test]
    fn a_processor_is_given_one_at_a_time_and_a_gpu_several() {
        let [selection, ..] = &selections();
        for device in seeded::devices() {
            let input = |i: usize| Input::uniform([0.0; 4], [1, i + 1]);
            let batch = (0..11).map(|i| (input(i), selection)).collect();
            let sizes = std::cell::RefCell::default();
            let outputs = in_batches(batch, &device, |inputs, selections| {
                assert_eq!(inputs.len(), selections.len());
                Vec::push(&mut sizes.borrow_mut(), inputs.len());
                let output = |input: &Input| Output::Logits {
                    shape: input.shape,
                    values: Vec::new(),
                };
                inputs.iter().map(output).collect()
            });
            let expected = match device.kind() {
                DeviceKind::Cpu => vec![1; 11],
                DeviceKind::Gpu => vec![8, 3],
            };
            assert_eq!(*sizes.borrow(), expected);
            for (i, output) in outputs.iter().enumerate() {
                assert!(matches!(output, Output::Logits { shape, .. } if *shape == [3, 1, i + 1]));
            }
        }
    }

    #[test]
    fn masks_go_to_their_pictures() {
        let found = |class| Found {
            class,
            score: 0.5,
            bbox: [0.0; 4],
        };
        let pictures = [
            vec![found(1), found(2)],
            vec![found(3)],
            Vec::new(),
            vec![found(4)],
        ];
        let answers = outputs(&pictures, &[true, false, true, true], 1, |found| {
            let of =
                |&(picture, found): &(usize, Found)| (10 * picture) as f32 + found.class as f32;
            found.iter().map(of).collect()
        });
        let masks: Vec<_> = answers
            .into_iter()
            .map(|output| match output {
                Output::Instances { masks, .. } => masks,
                _ => panic!("no instances"),
            })
            .collect();
        let some = |values: &[f32]| Some((values.to_vec(), 1));
        assert_eq!(masks, [some(&[1.0, 2.0]), None, some(&[]), some(&[34.0])]);
    }
}
