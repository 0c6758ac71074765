//! Writes what the fuzz targets begin with: `seeds FOLDER` makes a folder of files for each target.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::{env, fs, io};

use trials::targets::TARGETS;

fn main() -> io::Result<()> {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: seeds FOLDER"));
    };
    for target in TARGETS {
        let place = folder.join(target.name);
        fs::create_dir_all(&place)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(place.join(format!("seed{number}")), seed)?;
        }
    }
    Ok(())
}
