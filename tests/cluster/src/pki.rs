//! The certificates of a control plane: one authority, the API server's certificate, and one for each user.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::Error;

/// The attribute organizationName (X.520, 2.5.4.10), which carries a user's group. rcgen takes an
/// attribute once, and this way of naming it counts as another.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// How many groups a client certificate can carry, therefore.
const GROUPS: usize = 2;

/// A certificate and its private key, both in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A pair of keys in PEM, for the tokens of service accounts.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) public: String,
    pub(crate) private: String,
}

impl Keys {
    pub(crate) fn generate() -> Result<Self, Error> {
        let keys = KeyPair::generate().map_err(failed("service accounts"))?;
        Ok(Self {
            public: keys.public_key_pem(),
            private: keys.serialize_pem(),
        })
    }
}

/// The certificate authority that the API server believes, and that its clients believe.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub(crate) fn generate() -> Result<Self, Error> {
        let subject = "segmenter-cluster";
        let keys = KeyPair::generate().map_err(failed(subject))?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, subject.to_owned());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&keys).map_err(failed(subject))?.pem();
        Ok(Self {
            issuer: Issuer::new(params, keys),
            certificate,
        })
    }

    /// The authority's own certificate, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The authority's private key, in PEM.
    pub(crate) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate to serve with, for `names`: DNS names and IP addresses.
    pub(crate) fn server(&self, subject: &str, names: &[String]) -> Result<Identity, Error> {
        let mut params = CertificateParams::new(names).map_err(failed(subject))?;
        params
            .distinguished_name
            .push(DnType::CommonName, subject.to_owned());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(subject, params)
    }

    /// A certificate with which a client is `user`, a member of `groups`.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Identity, Error> {
        if groups.len() > GROUPS {
            return Err(Error::Groups {
                user: user.to_owned(),
                groups: groups.len(),
                limit: GROUPS,
            });
        }
        let mut params = CertificateParams::default();
        let attributes = [
            DnType::OrganizationName,
            DnType::CustomDnType(ORGANIZATION.into()),
        ];
        for (attribute, &group) in attributes.into_iter().zip(groups) {
            params.distinguished_name.push(attribute, group.to_owned());
        }
        params
            .distinguished_name
            .push(DnType::CommonName, user.to_owned());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(user, params)
    }

    fn sign(&self, subject: &str, mut params: CertificateParams) -> Result<Identity, Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let keys = KeyPair::generate().map_err(failed(subject))?;
        let certificate = params
            .signed_by(&keys, &self.issuer)
            .map_err(failed(subject))?
            .pem();
        Ok(Identity {
            certificate,
            key: keys.serialize_pem(),
        })
    }
}

fn failed(subject: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let subject = subject.to_owned();
    |source| Error::Certificate { subject, source }
}
