//! Policy files on disk.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use policy::Source;

use crate::error::SourceError;

/// Files that are read of one directory.
const FILES_MAX: usize = 10_000;

/// Every file that these paths stand for, in order; of directories those that end in `.yaml` or
/// `.yml`, but for tests and hidden ones.
///
/// # Errors
/// Where one of them cannot be read, or there are too many.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = listed(paths, |it| is_policy(it) && !is_test(it))?;
    files.dedup();
    if files.len() > FILES_MAX {
        return Err(SourceError::TooManyFiles { count: files.len(), max: FILES_MAX });
    }
    Ok(files)
}

/// These files, and of directories those that are wanted.
///
/// # Errors
/// Where one of them cannot be read.
pub fn listed(
    paths: &[PathBuf],
    is_wanted: fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for path in paths {
        let found = fs::metadata(path).map_err(unreadable(path))?;
        if !found.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(unreadable(path))?;
        let mut of_dir = Vec::new();
        for entry in entries {
            let file = entry.map_err(unreadable(path))?.path();
            if is_wanted(&file) {
                of_dir.push(file);
            }
        }
        of_dir.sort();
        files.append(&mut of_dir);
    }
    Ok(files)
}

/// The policies that these paths stand for, in order.
///
/// # Errors
/// Where one of them cannot be read, or there are too many.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, SourceError> {
    let read = |path: PathBuf| {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        Ok(Source { name, text })
    };
    find(paths)?.into_iter().map(read).collect()
}

/// As [`read`], for a set that is to be in force: what was emptied is no set.
///
/// # Errors
/// As there, and where one of the paths holds no policy, or one of the files nothing at all.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>, SourceError> {
    for path in paths {
        let files = read(std::slice::from_ref(path))?;
        if let Some(file) = files.iter().find(|it| it.text.trim().is_empty()) {
            return Err(SourceError::Empty(PathBuf::from(&file.name)));
        }
        if files.iter().all(|it| says_nothing(&it.text)) {
            return Err(SourceError::Empty(path.clone()));
        }
    }
    read(paths)
}

/// Whether a file has comments alone.
fn says_nothing(yaml: &str) -> bool {
    let mut lines = yaml.lines().map(str::trim);
    lines.all(|it| it.is_empty() || it.starts_with('#') || it == "---" || it == "...")
}

/// What files were there: of each its inode, when that last changed, and its length.
pub type Fingerprint = Vec<(PathBuf, Option<(u64, i64, i64, u64)>)>;

/// Changes whenever a file does, or another takes its place.
pub fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let of = |path: PathBuf| {
        let found = fs::metadata(&path).ok();
        let state = found.map(|it| (it.ino(), it.ctime(), it.ctime_nsec(), it.len()));
        (path, state)
    };
    match find(paths) {
        Ok(files) => files.into_iter().map(of).collect(),
        Err(_) => paths.iter().cloned().map(|path| (path, None)).collect(),
    }
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Unreadable { path: path.clone(), source }
}

fn is_policy(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.starts_with('.')
}

/// Whether a file holds cases of `policy test`, by its name.
pub fn is_test(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}
