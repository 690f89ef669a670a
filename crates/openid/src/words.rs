//! Claims in types of a provider's own.
//!
//! The library reads the standard claims as the standard types them, and refuses a whole token for one that is typed
//! otherwise. Whether an address is verified is worth a better answer: providers write it as a number, too, and a word
//! that means nothing must cost the word its weight, not the person the sign-on. So such words alone are put into the
//! library's type before it reads them; `keys` has the signature held against the token as it came.

use openidconnect::{AsyncHttpClient, HttpRequest};
use serde_json::{Map, Value};

use crate::fetch::{Answering, FetchError, Fetcher};

/// The standard claims that are yes or no.
const YES_OR_NO: [&str; 2] = ["email_verified", "phone_number_verified"];

/// Puts what the library would stumble over into its types; whether there was any.
pub(crate) fn put_in_types(claims: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for name in YES_OR_NO {
        if let Some(word) = claims.get_mut(name)
            && !is_understood(word)
        {
            *word = Value::Bool(is_true(word));
            changed = true;
        }
    }
    changed
}

fn is_understood(word: &Value) -> bool {
    match word {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text == "true" || text == "false",
        Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether a word means yes. Providers write it as a boolean, some as a text or a number.
pub(crate) fn is_true(word: &Value) -> bool {
    match word {
        Value::Bool(is_true) => *is_true,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Fetches claims, with their words put into the library's types.
#[derive(Debug)]
pub(crate) struct InTypes<'f>(pub(crate) &'f Fetcher);

impl<'c> AsyncHttpClient<'c> for InTypes<'_> {
    type Error = FetchError;
    type Future = Answering<'c>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut answer = self.0.call(request).await?;
            if let Ok(mut claims) = serde_json::from_slice(answer.body())
                && put_in_types(&mut claims)
            {
                *answer.body_mut() = Value::Object(claims).to_string().into_bytes();
            }
            Ok(answer)
        })
    }
}
