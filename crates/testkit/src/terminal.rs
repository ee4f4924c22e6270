//! A terminal without a screen.

use std::fs::File;

use rustix::{
    pty::{self, OpenptFlags},
    termios::Winsize,
};

/// Both sides of a terminal of so many lines and columns: what a person types and sees, and what a
/// program is given for its input and output.
///
/// # Panics
/// Where there is none to be had.
pub fn terminal(lines: u16, columns: u16) -> (File, File) {
    let master = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    pty::grantpt(&master).expect("a terminal");
    pty::unlockpt(&master).expect("a terminal");
    let name = pty::ptsname(&master, Vec::new()).expect("its name");
    let slave = File::options().read(true).write(true).open(name.to_str().expect("a path"));
    let master = File::from(master);
    resize(&master, lines, columns);
    (master, slave.expect("a terminal"))
}

/// Gives a terminal another size.
///
/// # Panics
/// Where it has none.
pub fn resize(terminal: &File, lines: u16, columns: u16) {
    let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).expect("a size");
}
