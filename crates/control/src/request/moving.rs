//! The frames that move a dialog between servers (extensions: drachtio-server does not know them).
use super::{Asked, Refusal, Request};
use crate::name::parse_dialog;
use engine::command::{Command, Export, Import};
use engine::export::ExportedDialog;
use engine::id::CommandId;
use std::time::Duration;

/// `export|<dialogId>[|release]` (an extension: drachtio-server does not know it).
pub(super) fn export<'a>(mut tokens: impl Iterator<Item = &'a [u8]>) -> Result<Request, Refusal> {
    let dialog = parse_dialog(tokens.next().unwrap_or_default()).ok_or(Refusal::Failure(
        "unable to find dialog for dialog id provided".into(),
    ))?;
    let export = Export {
        id: CommandId(0),
        dialog,
        release: tokens.next() == Some(b"release"),
    };
    Ok(Request::Command(Command::Export(export), Asked::Export))
}

/// `import|<age in milliseconds>`, and behind the meta line what `export` gave (an extension as well).
pub(super) fn import<'a>(
    mut tokens: impl Iterator<Item = &'a [u8]>,
    text: &[u8],
) -> Result<Request, Refusal> {
    let age = std::str::from_utf8(tokens.next().unwrap_or_default())
        .ok()
        .and_then(|digits| digits.parse().ok())
        .map(Duration::from_millis)
        .ok_or(Refusal::Failure(
            "import needs the age of the dialog in milliseconds".into(),
        ))?;
    let text = std::str::from_utf8(text)
        .map_err(|_| Refusal::Failure("this is no exported dialog: not UTF-8".into()))?;
    let dialog = ExportedDialog::from_json(text)
        .map_err(|error| Refusal::Failure(error.to_string().into()))?;
    let import = Import {
        id: CommandId(0),
        dialog: Box::new(dialog),
        age,
    };
    Ok(Request::Command(Command::Import(import), Asked::Import))
}
