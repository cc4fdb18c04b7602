//! Certificates that a test makes for itself, so that none ever expires.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_RSA_SHA256,
};

/// The one key that Entra takes is an RSA key, which only a file can give.
const RSA_KEY: &str = include_str!("../../fixtures/client_certificate.key");

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        // Authorities of one name would be taken for each other.
        let name = format!("tests {}", uuid::Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this host, address or person.
    pub fn signs_for(&self, name: &str) -> Pair {
        let mut params = CertificateParams::new([name.replace('_', "-")]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A certificate such as an application in Entra has, and its DER.
pub fn of_an_application(name: &str) -> (Pair, Vec<u8>) {
    let key = KeyPair::from_pem_and_sign_algo(RSA_KEY, &PKCS_RSA_SHA256).expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let pair = Pair {
        certificate: certificate.pem(),
        key: RSA_KEY.to_owned(),
    };
    (pair, certificate.der().to_vec())
}
