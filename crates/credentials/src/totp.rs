//! The codes of authenticator apps (RFC 4226 and RFC 6238).

use identity::TotpSecret;
use identity::ports::Totp;
use ring::hmac;

/// Codes by HMAC-SHA-1, as every app computes them. SHA-1's weakness, that collisions can be made, does not touch HMAC.
#[derive(Debug, Clone, Copy, Default)]
pub struct RingTotp;

impl Totp for RingTotp {
    fn code(&self, secret: &TotpSecret, step: i64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226, 5.3: four bytes, from where the last four bits say, without the first bit.
        let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0f);
        let taken = tag.iter().skip(offset).take(4);
        let number = taken.fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        (number & 0x7fff_ffff) % 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_random(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_4226() {
        let expected = [
            755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489,
        ];
        for (step, code) in (0..).zip(expected) {
            assert_eq!(RingTotp.code(&secret(), step), code, "{step}");
        }
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // The RFC's have eight digits; ours are their last six.
        for (secs, code) in [
            (59, 94_287_082_u32),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(RingTotp.code(&secret(), secs / 30), code % 1_000_000, "{secs}");
        }
    }
}
