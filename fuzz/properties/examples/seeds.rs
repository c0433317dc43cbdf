//! Writes the inputs that a fuzzer begins with into a folder for each target: `seeds FOLDER`.
use properties::{TARGETS, seeds};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("say where: seeds FOLDER");
        std::process::exit(2);
    };
    for (target, _) in TARGETS {
        let place = Path::new(&folder).join(target);
        std::fs::create_dir_all(&place)?;
        for (index, input) in seeds::of(target).iter().enumerate() {
            std::fs::write(place.join(format!("seed-{index:04}")), input)?;
        }
    }
    Ok(())
}
