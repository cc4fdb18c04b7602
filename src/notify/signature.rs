//! The headers of Standard Webhooks, by which a receiver knows who posted, and
//! that it is no repetition of an old post.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Names the message: the same with every attempt.
pub(super) const ID: &str = "webhook-id";
/// When it was posted, in seconds since 1970.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
/// `v1,` and the signature in base64.
pub(super) const SIGNATURE: &str = "webhook-signature";

/// HMAC-SHA256 over id, timestamp and body, joined by full stops.
pub(super) fn sign(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let key = crate::config::signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = sign(&key, id, 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
