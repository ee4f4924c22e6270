//! The `Content-Type` of a body -> how to read it.

/// How a body is encoded, as the API server reads its `Content-Type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/cbor`.
    Cbor,
    /// `application/json-patch+json`.
    JsonPatch,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/strategic-merge-patch+json`.
    StrategicMergePatch,
    /// `application/apply-patch+yaml`.
    ApplyYaml,
    /// `application/apply-patch+cbor`.
    ApplyCbor,
    /// No `Content-Type`: JSON to the API server.
    Missing,
    /// Anything else.
    Other,
}

impl MediaType {
    /// As it is called to whoever sent a body of it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::Cbor => "application/cbor",
            Self::JsonPatch => "application/json-patch+json",
            Self::MergePatch => "application/merge-patch+json",
            Self::StrategicMergePatch => "application/strategic-merge-patch+json",
            Self::ApplyYaml => "application/apply-patch+yaml",
            Self::ApplyCbor => "application/apply-patch+cbor",
            Self::Missing => "a body without a Content-Type",
            Self::Other => "a body of this Content-Type",
        }
    }
}

/// Reads a `Content-Type`. Parameters are left out; upper case counts as lower case, as for MIME.
pub fn media_type(content_type: Option<&str>) -> MediaType {
    let Some(content_type) = content_type else { return MediaType::Missing };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" => MediaType::Missing,
        "application/json" => MediaType::Json,
        "application/yaml" => MediaType::Yaml,
        "application/vnd.kubernetes.protobuf" => MediaType::Protobuf,
        "application/cbor" => MediaType::Cbor,
        "application/json-patch+json" => MediaType::JsonPatch,
        "application/merge-patch+json" => MediaType::MergePatch,
        "application/strategic-merge-patch+json" => MediaType::StrategicMergePatch,
        "application/apply-patch+yaml" => MediaType::ApplyYaml,
        "application/apply-patch+cbor" => MediaType::ApplyCbor,
        _ => MediaType::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_media_types_by_their_essence() {
        let table = [
            (None, MediaType::Missing),
            (Some("application/json; charset=utf-8"), MediaType::Json),
            (
                Some("application/merge-patch+json;x=application/json-patch+json"),
                MediaType::MergePatch,
            ),
            (Some("text/plain"), MediaType::Other),
        ];
        for (content_type, want) in table {
            assert_eq!(media_type(content_type), want, "{content_type:?}");
        }
    }
}
