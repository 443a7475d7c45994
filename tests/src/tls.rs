//! Authorities and certificates of all kinds, right and wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// Nearly.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What is other than usual about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A server's.
    Server,
    /// A client's.
    Client,
    /// A client's that has ended.
    Expired,
    /// A client's that has not begun.
    Early,
    /// A server's that has ended.
    ExpiredServer,
}

/// A certificate and its key.
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    serial: u64,
}

impl Authority {
    /// Makes one.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate with a name and a serial number.
    pub fn sign(&self, kind: Kind, name: &str, serial: u64) -> Pair {
        let years = match kind {
            Kind::Expired | Kind::ExpiredServer => 51,
            _ => 120,
        };
        self.sign_until(kind, name, serial, SystemTime::UNIX_EPOCH + YEAR * years)
    }

    /// The same, valid up to a moment.
    pub fn sign_until(&self, kind: Kind, name: &str, serial: u64, until: SystemTime) -> Pair {
        let mut params = CertificateParams::new([name.to_string()]).expect("a name");
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        params.not_before = if kind == Kind::Early { date_time_ymd(2099, 1, 1) } else { date_time_ymd(2020, 1, 1) };
        params.not_after = date_time_ymd(1970, 1, 1) + until.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        params.extended_key_usages = vec![match kind {
            Kind::Server | Kind::ExpiredServer => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem(), serial }
    }

    /// A list of what it has revoked.
    pub fn revoke(&self, pairs: &[&Pair]) -> String {
        self.list(pairs, 2100)
    }

    /// A list of nothing, whose successor should have come long ago.
    pub fn late_list(&self) -> String {
        self.list(&[], 2021)
    }

    fn list(&self, pairs: &[&Pair], next_year: i32) -> String {
        let revoked = pairs.iter().map(|pair| RevokedCertParams {
            serial_number: SerialNumber::from(pair.serial),
            revocation_time: date_time_ymd(2020, 1, 2),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 2),
            next_update: date_time_ymd(next_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).and_then(|list| list.pem()).expect("a list")
    }

    /// A client that trusts this authority.
    pub fn client(&self, shows: Option<&Pair>) -> Arc<ClientConfig> {
        self.client_with(shows, rustls::ALL_VERSIONS, &[])
    }

    /// The same, with versions of TLS and names of protocols (ALPN).
    pub fn client_with(&self, shows: Option<&Pair>, versions: &[&'static SupportedProtocolVersion], speaks: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("versions").with_root_certificates(roots);
        let mut config = match shows {
            Some(pair) => builder.with_client_auth_cert(vec![pair.der()], pair.private()).expect("a pair"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = speaks.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Pair {
    /// Writes `NAME.pem` and `NAME.key`, each in one step, and says where.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        put(&key, &self.key);
        put(&certificate, &self.certificate);
        (certificate, key)
    }

    fn der(&self) -> CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject as _;
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM")
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        use rustls::pki_types::pem::PemObject as _;
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM")
    }
}

/// Gives a file its content in one step, readable for the owner only.
pub fn put(file: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let draft = file.with_extension("draft");
    std::fs::write(&draft, content).expect("a file");
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::rename(draft, file).expect("the file gets its name");
}
