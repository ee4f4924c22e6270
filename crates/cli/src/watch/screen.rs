//! The terminal: taken on entering, given back on every way out, a panic included.

use std::{
    io::{self, Stdout},
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::{
    cursor,
    event::{
        DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEventKind, KeyModifiers,
    },
    execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{Terminal, backend::CrosstermBackend, style::Style, widgets::Widget};

use super::model::{Key, Size};

/// Leaving twice would put the cursor back to where it was, over a panic's message.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The alternate screen in raw mode; dropping it gives the terminal back.
pub(crate) struct Screen {
    has_colours: bool,
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        // A panic is printed before anything is dropped: on the alternate screen nobody would see it.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let colours = anstream::AutoStream::choice(&io::stdout());
        // Pasted text comes as one event: it cannot press keys.
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        let terminal = match Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(terminal) => terminal,
            Err(error) => {
                restore();
                return Err(error);
            }
        };
        Ok(Self { has_colours: colours != anstream::ColorChoice::Never, terminal })
    }

    /// Columns and rows.
    pub(crate) fn size() -> Size {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        Size { columns: columns.into(), rows: rows.into() }
    }

    /// Puts what is to be seen on the screen; only cells that changed are sent.
    pub(crate) fn draw(&mut self, view: impl Widget) -> io::Result<()> {
        let has_colours = self.has_colours;
        self.terminal.draw(|frame| {
            frame.render_widget(view, frame.area());
            if !has_colours {
                let cells = &mut frame.buffer_mut().content;
                cells.iter_mut().for_each(|cell| _ = cell.set_style(Style::reset()));
            }
        })?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// What cannot be undone has to be left: there is nobody else to tell.
fn restore() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(io::stdout(), cursor::Show, DisableBracketedPaste, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

/// A key as the model knows it.
pub(crate) fn key(event: Event) -> Option<Key> {
    let event = match event {
        Event::Paste(text) => return Some(Key::Paste(text)),
        Event::Key(event) if event.kind != KeyEventKind::Release => event,
        _ => return None,
    };
    let key = match (event.code, event.modifiers) {
        (KeyCode::Char('c'), KeyModifiers::CONTROL) => Key::Interrupt,
        (KeyCode::Char('u'), KeyModifiers::CONTROL) => Key::EraseLine,
        (KeyCode::Char('h'), KeyModifiers::CONTROL) | (KeyCode::Backspace, _) => Key::Erase,
        (KeyCode::Char(char), KeyModifiers::NONE | KeyModifiers::SHIFT) => Key::Char(char),
        (KeyCode::Up, _) => Key::Up,
        (KeyCode::Down, _) => Key::Down,
        (KeyCode::PageUp, _) => Key::PageUp,
        (KeyCode::PageDown, _) => Key::PageDown,
        (KeyCode::Home, _) => Key::First,
        (KeyCode::End, _) => Key::Last,
        (KeyCode::Enter, _) => Key::Enter,
        (KeyCode::Esc, _) => Key::Escape,
        _ => return None,
    };
    Some(key)
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn only_plain_letters_are_letters() {
        let table = [
            (KeyCode::Char('a'), KeyModifiers::NONE, Some(Key::Char('a'))),
            (KeyCode::Char('G'), KeyModifiers::SHIFT, Some(Key::Char('G'))),
            (KeyCode::Char('y'), KeyModifiers::ALT, None),
            (KeyCode::Char('y'), KeyModifiers::CONTROL, None),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Interrupt)),
            (KeyCode::Enter, KeyModifiers::NONE, Some(Key::Enter)),
            (KeyCode::Tab, KeyModifiers::NONE, None),
        ];
        for (code, modifiers, want) in table {
            assert_eq!(key(Event::Key(KeyEvent::new(code, modifiers))), want, "{code:?}");
        }
        assert_eq!(key(Event::Paste("ay".into())), Some(Key::Paste("ay".into())));
    }
}
