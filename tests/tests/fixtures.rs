//! Images of logs that this version of the format has written: they must mount, and read as the listing beside them
//! says. `EVENKEEL_BLESS=1` writes images and listings anew, `EVENKEEL_BLESS=listings` the listings alone: when damaged
//! images are read better than before.

use std::fs;
use std::path::Path;

use evenkeel_tests::fixtures::{SHAPES, SORTS};
use evenkeel_tests::report::tell;

#[test]
fn images_of_format_version_1_are_read_as_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1");
    let bless = std::env::var("EVENKEEL_BLESS").ok();
    let mut read = 0;
    for shape in SHAPES {
        for (sort, name) in SORTS {
            let image = folder.join(format!("{}-{name}.img", shape.name));
            let listing = image.with_extension("txt");
            if bless.as_ref().is_some_and(|what| what != "listings") {
                fs::create_dir_all(&folder).expect("a folder");
                fs::write(&image, shape.make(sort)).expect("writing an image");
            }
            let bytes = fs::read(&image).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
            if bless.is_some() {
                let text = shape.list(bytes.clone()).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
                fs::write(&listing, text).expect("writing a listing");
            }
            let expected = fs::read_to_string(&listing).expect("a listing beside the image");
            let found = shape.list(bytes).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
            assert!(found == expected, "{} is read as\n{found}\nand not as\n{expected}", image.display());
            read += 1;
        }
    }
    let images = fs::read_dir(&folder).expect("a folder").flatten();
    let images = images.filter(|entry| entry.path().extension().is_some_and(|end| end == "img")).count();
    assert_eq!(images, read, "there are images that nobody reads");
    tell(&format!("{read} images of format version 1 read"));
}
