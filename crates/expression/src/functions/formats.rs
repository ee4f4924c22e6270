//! Named formats: `format.dns1123Label().validate(name)` is none, or a list of what is wrong.

use super::overload::{Function, G, T, function, method, unfit};
use crate::{error::Fault, kubernetes::Format, value::Value};

macro_rules! makers {
    ($($name:literal),*) => {
        &[
            $(function(concat!("format.", $name), &[], G::Is(T::Format), |_, _| format_of($name)),)*
            function("format.named", &[T::Text], G::Is(T::Optional), |_, v| match v {
                [Value::Text(name)] => Ok(Value::optional(format_of(name.as_str()).ok())),
                _ => Err(unfit()),
            }),
            method("validate", &[T::Format, T::Text], G::OptionalTexts, |call, v| match v {
                [Value::Format(format), Value::Text(text)] => {
                    call.budget.spend_bytes(text.len() * 4)?;
                    Ok(Value::optional(format.wrong(text.as_str()).map(|it| Value::list(vec![Value::made(it)]))))
                }
                _ => Err(unfit()),
            }),
        ]
    };
}

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = makers!(
    "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix",
    "dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date",
    "datetime"
);

fn format_of<'a>(name: &str) -> Result<Value<'a>, Fault> {
    let found = Format::find(name);
    found.map(Value::Format).ok_or_else(|| Fault::error(format!("there is no format `{name}`")))
}
