//! Who works at the sample desk, and who asks it for help. All of them are invented; no address leaves `.example`.

use kernel::TeamRole;

/// A team of the sample desk.
pub(super) struct TeamSketch {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) members: &'static [(&'static str, TeamRole)],
}

/// Where the desk's own people have their addresses.
pub(super) const DESK_DOMAIN: &str = "tidepool.example";
/// Who runs the desk.
pub(super) const ADMIN: &str = "Ada Moreau";

/// The places of the teams in [`TEAMS`], by which topics name them.
pub(super) const TECHNICAL: usize = 0;
pub(super) const BILLING: usize = 1;
pub(super) const ACCOUNTS: usize = 2;

pub(super) const TEAMS: [TeamSketch; 3] = [
    TeamSketch {
        name: "Technical Support",
        description: "Errors, outages, performance, integrations and the mobile app.",
        members: &[
            ("Grace Okafor", TeamRole::Lead),
            ("Tomas Rivera", TeamRole::Supervisor),
            ("Mei Tanaka", TeamRole::Agent),
            ("Jonas Weber", TeamRole::Agent),
            ("Priya Nair", TeamRole::Agent),
        ],
    },
    TeamSketch {
        name: "Billing",
        description: "Invoices, payments, plans and refunds.",
        members: &[
            ("Hannah Lindqvist", TeamRole::Lead),
            ("Omar Haddad", TeamRole::Supervisor),
            ("Lucy Chen", TeamRole::Agent),
            ("Marco Bianchi", TeamRole::Agent),
        ],
    },
    TeamSketch {
        name: "Accounts & Onboarding",
        description: "Logging in, users and roles, data imports and first steps.",
        members: &[
            ("Samuel Adeyemi", TeamRole::Lead),
            ("Elena Petrova", TeamRole::Supervisor),
            ("Noah Martin", TeamRole::Agent),
            ("Aisha Rahman", TeamRole::Agent),
        ],
    },
];

/// A customer: name, company and the company's domain.
pub(super) const CUSTOMERS: [(&str, &str, &str); 25] = [
    ("Olivia Hart", "Brightleaf Foods", "brightleaf.example"),
    ("Peter Nowak", "Brightleaf Foods", "brightleaf.example"),
    ("Carmen Diaz", "Brightleaf Foods", "brightleaf.example"),
    ("Liam Walsh", "Kestrel Logistics", "kestrel-logistics.example"),
    ("Fatima Zahra", "Kestrel Logistics", "kestrel-logistics.example"),
    (
        "Viktor Lindholm",
        "Kestrel Logistics",
        "kestrel-logistics.example",
    ),
    ("Ines Duarte", "Oak & Iron Furniture", "oakandiron.example"),
    ("George Thornton", "Oak & Iron Furniture", "oakandiron.example"),
    ("Yuki Mori", "Meridian Clinic", "meridian-clinic.example"),
    ("Rachel Stein", "Meridian Clinic", "meridian-clinic.example"),
    ("Daniel Osei", "Meridian Clinic", "meridian-clinic.example"),
    ("Sofia Conti", "Tall Pine Outdoor", "tallpine.example"),
    ("Henrik Aas", "Tall Pine Outdoor", "tallpine.example"),
    ("Maya Patel", "Copperfield School", "copperfield-school.example"),
    (
        "Thomas Berger",
        "Copperfield School",
        "copperfield-school.example",
    ),
    ("Nadia Karim", "Copperfield School", "copperfield-school.example"),
    ("Erik Solberg", "Bluefjord Shipping", "bluefjord.example"),
    ("Julia Kramer", "Bluefjord Shipping", "bluefjord.example"),
    ("Andre Baptiste", "Solara Studio", "solara-studio.example"),
    ("Chloe Bennett", "Solara Studio", "solara-studio.example"),
    ("Ravi Shah", "Ferrous Works", "ferrousworks.example"),
    ("Katarina Novak", "Ferrous Works", "ferrousworks.example"),
    ("Ben Fischer", "Hollow Oak Books", "hollowoak.example"),
    ("Amara Eze", "Hollow Oak Books", "hollowoak.example"),
    ("Leo Marchetti", "Quayside Hotels", "quayside.example"),
];

/// `Ada Moreau` at `tidepool.example` is `ada.moreau@tidepool.example`.
pub(super) fn address(name: &str, domain: &str) -> String {
    format!("{}@{domain}", name.to_ascii_lowercase().replace(' ', "."))
}

/// The first word of a name.
pub(super) fn first_name(name: &'static str) -> &'static str {
    name.split(' ').next().unwrap_or(name)
}
