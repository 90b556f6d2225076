//! Which things are in a scene, and from where they are seen.

mod bare;
mod boards;

use crate::{
    camera::{Camera, Frame, Pose},
    clutter,
    light::Light,
    maths::{Point, TAU},
    random::Random,
    rooms::{self, Room},
    scene::Family,
    stage::Stage,
};

pub(crate) use boards::demo;

/// What a scene shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Front,
    Back,
    Notes,
    Nothing,
}

/// The subjects and how often they are taken.
const SUBJECTS: [(Subject, f32); 4] = [
    (Subject::Front, 0.34),
    (Subject::Back, 0.24),
    (Subject::Notes, 0.25),
    (Subject::Nothing, 0.17),
];

/// The heights of notes, as shares of the picture's.
const NOTE_HEIGHTS: [f32; 2] = [0.025, 0.6];

pub(crate) fn any(mut random: Random, family: Family, size: [u32; 2]) -> Stage {
    let subject = SUBJECTS[random.weighted(&SUBJECTS.map(|subject| subject.1))].0;
    let light = Light::random(&mut random, family);
    let mut stage = match subject {
        Subject::Front | Subject::Back => {
            boards::stage(random, family, size, light, subject == Subject::Front)
        }
        Subject::Notes => bare::notes(random, family, size, light),
        Subject::Nothing => bare::nothing(random, family, size, light),
    };
    clutter::shadows(&mut stage);
    stage
}

/// Cups, which are something else to find.
pub(crate) fn cups(mut random: Random, family: Family, size: [u32; 2]) -> Stage {
    let light = Light::random(&mut random, family);
    let mut stage = bare::cups(random, family, size, light);
    clutter::shadows(&mut stage);
    stage
}

/// A room about the main plane, with a camera that has so much of it in view. Below `lowest` a wall may end.
#[expect(
    clippy::too_many_arguments,
    reason = "the one place where all of it meets"
)]
fn enter(
    mut random: Random,
    family: Family,
    size: [u32; 2],
    light: Light,
    room: Room,
    height: f32,
    target: Point,
    lowest: f32,
) -> Stage {
    let pose = pose(&mut random, room, height, target);
    let camera = Camera::new(size, &pose);
    let mut stage = Stage::new(random, family, size, camera, light);
    rooms::build(&mut stage, room, &pose, lowest);
    stage
}

fn pose(random: &mut Random, room: Room, height: f32, target: Point) -> Pose {
    let steep = random.chance(0.35);
    let tilt = if steep {
        random.range(0.35, 1.13)
    } else {
        random.unit() * 0.35
    };
    let (azimuth, roll) = match room {
        // Standing before a wall, one steps aside rather than climbs.
        Room::Wall => {
            let side = random.pick(&[0.0, TAU / 2.0]);
            let roll = if random.chance(0.06) {
                random.sign() * TAU / 4.0
            } else {
                0.0
            };
            (side + random.bell() * 0.5, roll + random.bell() * 0.12)
        }
        // Whoever stands at a table has its near edge below.
        Room::Table => {
            let azimuth = TAU / 4.0 + random.bell() * 0.5;
            let roll = if steep {
                random.bell() * 0.15
            } else {
                random.bell() * 0.4
            };
            (azimuth, roll)
        }
    };
    Pose {
        target,
        height,
        tilt,
        azimuth,
        roll,
        lens: random.log_range(0.6, 1.1),
        distortion: random.bell() * 0.05,
    }
}

/// Where the picture's middle and its corners are on the main plane, as far as they are: things are strewn there.
pub(crate) fn in_view(stage: &Stage, random_point: Point) -> Option<Point> {
    let [width, height] = stage.size.map(|side| side as f32);
    let pixel = [width * random_point[0], height * random_point[1]];
    let sight = stage.camera.homography(&Frame::MAIN).sight(pixel)?;
    (sight.at[0].abs() < 12.0 && sight.at[1].abs() < 12.0).then_some(sight.at)
}
