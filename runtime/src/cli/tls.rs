//! `ephor tls`: certificates of one's own, for a server and clients that know each other.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ephor::digest::Digest;
use ephor::tls;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::exit::{self, Exit, Or as _, Outcome, failed};
use super::log::{replace, replace_with};

/// For how long an authority is valid. Whoever trusts it has to be told of the next one.
const AUTHORITY_DAYS: i64 = 3_650;

/// Clocks are not all alike.
const LEEWAY: Duration = Duration::HOUR;

/// What can be made.
#[derive(clap::Subcommand)]
pub enum Verb {
    Init(Init),
    Server(Server),
    Client(Client),
}

/// Makes a private authority, and a certificate of it for a server.
///
/// For trying things out, and for a network of your own: nobody else trusts this authority.
/// `authority.key` makes certificates that all who trust it believe; keep it away from the
/// server.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Init {
    #[command(flatten)]
    server: Server,
}

/// Makes another certificate for a server, in the place of the one before.
///
/// A server that uses the files takes it within a second or two.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Server {
    /// The folder of the authority.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A name or address by which clients call the server; any number of them.
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
    /// Days that the certificate is valid for.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=3_650))]
    days: i64,
}

/// Makes a certificate for a client.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Client {
    /// The folder of the authority.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Who the client is: a DNS name, or a URI.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where NAME.pem and NAME.key go [default: DIR].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Days that the certificate is valid for.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(i64).range(1..=3_650))]
    days: i64,
}

pub fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Init(Init { server }) => {
            make_authority(&server.folder)?;
            serve(server)
        }
        Verb::Server(server) => serve(server),
        Verb::Client(client) => admit(client),
    }
}

fn serve(Server { folder, names, days }: &Server) -> Outcome {
    let parameters = CertificateParams::new(names.clone()).context("a name is not one").or_exit(Exit::Usage)?;
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    sign(folder, parameters, ExtendedKeyUsagePurpose::ServerAuth, *days, (&certificate, &key))?;
    println!("{} is for {}, for {days} days. In the configuration:\n", certificate.display(), names.join(", "));
    println!("[server.tls]\ncertificate = {:?}\nkey = {:?}", absolute(&certificate), absolute(&key));
    println!("\nClients trust it with --ca {}", folder.join("authority.pem").display());
    Ok(())
}

fn admit(Client { folder, name, out, days }: &Client) -> Outcome {
    let unusable = || failed(Exit::Usage, format!("{name:?} is neither a DNS name nor a URI, so a server could not tell who that is"));
    let mut parameters = CertificateParams::default();
    let text = name.as_str().try_into().map_err(|_| unusable())?;
    parameters.subject_alt_names = vec![if name.contains(':') { SanType::URI(text) } else { SanType::DnsName(text) }];
    let out = out.as_deref().unwrap_or(folder);
    let file: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    // Nobody's but the client's, and nothing that stands in this folder already.
    ensure_other(&file)?;
    let (certificate, key) = (out.join(format!("{file}.pem")), out.join(format!("{file}.key")));
    let made = sign(folder, parameters, ExtendedKeyUsagePurpose::ClientAuth, *days, (&certificate, &key))?;
    if tls::names(made.der()) != [name.as_str()] {
        let _ = std::fs::remove_file(&certificate).and_then(|()| std::fs::remove_file(&key));
        return Err(unusable());
    }
    println!("{} is for {name}, for {days} days. The server asks for it with, in [server.tls]:\n", certificate.display());
    println!("client-authorities = [{:?}]", absolute(&folder.join("authority.pem")));
    println!("\nThe client shows it with --certificate {} --certificate-key {}", certificate.display(), key.display());
    Ok(())
}

fn ensure_other(file: &str) -> Outcome {
    match ["authority", "server"].contains(&file) {
        true => Err(failed(Exit::Usage, format!("{file} has another meaning here; call the client something else"))),
        false => Ok(()),
    }
}

/// Makes an authority where there is none.
fn make_authority(folder: &Path) -> Outcome {
    let (certificate, key_file) = (folder.join("authority.pem"), folder.join("authority.key"));
    if certificate.exists() || key_file.exists() {
        let why = format!("{} has an authority already; `ephor tls server {0}` makes another certificate of it", folder.display());
        return Err(failed(Exit::Usage, why));
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let key = KeyPair::generate().context("the system makes no key")?;
    let mut parameters = authority(&key);
    parameters.not_before = OffsetDateTime::now_utc() - LEEWAY;
    parameters.not_after = OffsetDateTime::now_utc() + Duration::days(AUTHORITY_DAYS);
    let made = parameters.self_signed(&key).context("cannot sign")?;
    write_key(&key_file, &key)?;
    Ok(replace(&certificate, made.pem().as_bytes())?)
}

/// What an authority with this key is. Its name follows from the key, so that two have two
/// names, and that it can be made again without a reader of certificates.
fn authority(key: &KeyPair) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("ephor authority {}", &Digest::of(key.public_key_raw()).hex()[..16]);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// Makes a key and a certificate for it, and puts them where they belong: the key first,
/// because a certificate without its key is of no use to whoever reads both.
fn sign(
    folder: &Path,
    mut parameters: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    days: i64,
    (certificate, key_file): (&Path, &Path),
) -> Outcome<Certificate> {
    let file = folder.join("authority.key");
    let read = || -> anyhow::Result<KeyPair> { Ok(KeyPair::from_pem(&std::fs::read_to_string(&file)?)?) };
    let what = || format!("{} is no authority's key; `ephor tls init {}` makes an authority", file.display(), folder.display());
    let own = read().with_context(what).or_exit(Exit::Usage)?;
    let issuer = Issuer::new(authority(&own), own);
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.not_before = OffsetDateTime::now_utc() - LEEWAY;
    parameters.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().context("the system makes no key")?;
    let made = parameters.signed_by(&key, &issuer).context("cannot sign")?;
    write_key(key_file, &key)?;
    replace(certificate, made.pem().as_bytes())?;
    Ok(made)
}

/// Puts a key where only its owner reads it.
fn write_key(file: &Path, key: &KeyPair) -> Outcome {
    replace_with(file, key.serialize_pem().as_bytes(), 0o600).or_exit(Exit::Failed)
}

/// As a configuration anywhere can name it.
fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf())
}
