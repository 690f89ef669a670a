//! What is written at the sample desk: topics, each with the turns that a conversation about it takes.
//!
//! A text may hold `{customer}`, `{agent}`, `{colleague}`, `{company}`, `{invoice}`, `{amount}`, `{count}`, `{browser}`,
//! `{code}`, `{project}` and `{weekday}`. To add a topic, add it to [`TOPICS`]: the tests check that its texts fit.

use super::people::{ACCOUNTS, BILLING, TECHNICAL};

/// What a ticket can be about.
pub(super) struct Topic {
    /// The team that knows of it.
    pub(super) team: usize,
    pub(super) tags: &'static [&'static str],
    /// How often it is low, medium, high and urgent.
    pub(super) priorities: [i64; 4],
    pub(super) subjects: &'static [&'static str],
    /// How a customer tells it.
    pub(super) openings: &'static [&'static str],
    /// What an agent asks first.
    pub(super) questions: &'static [&'static str],
    /// What the customer says to that.
    pub(super) answers: &'static [&'static str],
    /// What the desk says among itself.
    pub(super) internal: &'static [&'static str],
    /// How it is solved.
    pub(super) solutions: &'static [&'static str],
    /// The solution in a few words, for the history.
    pub(super) resolution: &'static str,
}

pub(super) const GREETINGS: [&str; 6] = [
    "Hi,",
    "Hello,",
    "Hi team,",
    "Good morning,",
    "Hello support team,",
    "Hi there,",
];
pub(super) const FAREWELLS: [&str; 6] = [
    "Thanks,\n{customer}",
    "Best regards,\n{customer}\n{company}",
    "Thank you!\n{customer}",
    "Kind regards\n{customer}",
    "Cheers\n{customer}",
    "{customer}, {company}",
];
pub(super) const AGENT_GREETINGS: [&str; 4] = [
    "Hi {customer},",
    "Hello {customer},",
    "Hi {customer}, thanks for writing in.",
    "Hello {customer}, thank you for the details.",
];
pub(super) const AGENT_FAREWELLS: [&str; 3] = [
    "Best,\n{agent}",
    "Kind regards,\n{agent}",
    "{agent}\nTidepool Support",
];

/// What an agent writes when nothing was heard.
pub(super) const REMINDERS: [&str; 3] = [
    "just checking in: were you able to find the information I asked for? Without it I cannot look any further.",
    "did my last message reach you? If it works again in the meantime, a short word is enough and I will close this.",
    "I have not heard from you and hope that things are running again. I will mark this as resolved for now; simply \
     reply and it opens again.",
];
/// What a customer writes when the solution was none.
pub(super) const STILL_BROKEN: [&str; 5] = [
    "Unfortunately it is back since this morning, exactly as before.",
    "I am afraid that did not help. I tried it twice, and {colleague} tried it as well.",
    "It worked for a day, and now we see the same thing again.",
    "Sorry to bother you again: for me it is fine now, but {colleague} still has the problem.",
    "Not quite there yet, the same message came up again on {weekday}.",
];
/// What an agent writes then.
pub(super) const SECOND_TRY: [&str; 3] = [
    "sorry about that. I found a second place where the old setting was still in use and corrected it. Could you have \
     another look?",
    "thank you for testing. Our engineers found that one server still ran the older version; it was replaced an hour \
     ago. It should be fine for everyone now.",
    "I am sorry that it came back. I have reset it on our side completely and tested it with a copy of your data: it \
     works now, also after a restart.",
];
/// Why a customer opens a closed ticket again.
pub(super) const REOPEN_REASONS: [&str; 3] = [
    "The same problem came back after a week.",
    "We thought that this was solved, but the second location has it too.",
    "One question remained open, see below.",
];
/// What agents note while they hand a ticket on.
pub(super) const HAND_OVERS: [&str; 3] = [
    "This is not ours, I think the colleagues here know more. Customer has not been answered yet.",
    "Landed with us by mistake, passing it on.",
    "Checked quickly: nothing to do with our side. Please take over.",
];
/// What agents tell one another about customers.
pub(super) const NOTES: [&str; 6] = [
    "Called {customer}, no answer. Left a message.",
    "{company} is on the annual plan, renewal is coming up. Please keep this one friendly.",
    "{customer} prefers short answers and mornings (CET).",
    "Same question as last month from {company}, the help page on this needs an example.",
    "Spoke to {customer} on the phone, they are happy to wait until {weekday}.",
    "Worth a knowledge base article: third time this month.",
];
/// What is no question at all.
pub(super) const SPAM: [(&str, &str); 3] = [
    (
        "Increase your website traffic by 300 %",
        "Dear owner, our proven SEO experts bring you to page 1 of all search engines. Reply for a quotation.",
    ),
    (
        "Your domain is about to expire",
        "Final notice. To keep your domain listed, please settle the attached pro forma within 24 hours.",
    ),
    (
        "Business proposal",
        "Dear sir or madam, I have a confidential business proposal that will benefit us both. Kindly reply with your details.",
    ),
];

pub(super) const TOPICS: [Topic; 20] = [
    Topic {
        team: TECHNICAL,
        tags: &["performance"],
        priorities: [5, 50, 35, 10],
        subjects: &[
            "Dashboard takes a minute to load",
            "Everything is very slow since {weekday}",
            "Board \"{project}\" loads very slowly",
        ],
        openings: &[
            "since {weekday} our dashboard needs about a minute until it shows anything. It happens for everybody here, also in other browsers. We have not changed anything on our side.",
            "opening the board \"{project}\" takes forever, sometimes the page even gives up with a timeout. Smaller boards are fine. It has about {count} cards.",
        ],
        questions: &[
            "could you tell me at what time you saw it last, and whether it is the same in a private window of {browser}? A screenshot of the network tab would help us a lot.",
            "thanks for reporting this. Does it affect all of your boards or only the large ones? And roughly how many people work on them at the same time?",
        ],
        answers: &[
            "It was around 9:40 this morning, and yes, the private window makes no difference. I have sent the screenshot to {colleague} who can forward it if you need it.",
            "Only the big ones. There are usually eight to ten of us in the morning, it gets better in the afternoon.",
        ],
        internal: &[
            "Query log shows a sequential scan for this workspace: the archive filter has no index when cards have more than three labels. Asked the storage team.",
            "p95 for this tenant went from 400 ms to 38 s on {weekday}. It coincides with the label migration.",
        ],
        solutions: &[
            "we found the cause: boards with many archived cards were sorted in an inefficient way. A fix went live an hour ago, and your board now loads in under a second here. Please tell me if you see anything else.",
            "our engineers added a missing index for your workspace. Loading \"{project}\" now takes about half a second. Sorry for the slow mornings!",
        ],
        resolution: "Missing index for large boards added.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["export", "bug"],
        priorities: [10, 60, 25, 5],
        subjects: &[
            "CSV export is empty",
            "Export of \"{project}\" stops with error {code}",
            "Exported file has broken characters",
        ],
        openings: &[
            "when I export \"{project}\" as CSV I get a file with nothing but the column names. Last week it still worked. I tried {browser} and another browser.",
            "the export of our project stops at about half with \"Error {code}\". We need the numbers for the board meeting on {weekday}.",
        ],
        questions: &[
            "which filter was active when you exported? The name of the saved view is enough. And did you export as yourself or with the shared link?",
            "could you send me the time of the attempt and the link in your address bar? Then I can find the job in our logs.",
        ],
        answers: &[
            "It is the view called \"Open by owner\", and I was logged in as myself.",
            "That was at 14:05 today. The link ends in /exports/{count}.",
        ],
        internal: &[
            "Reproduced: a date filter without an end gives an empty range in the export worker, the screen treats it as open-ended.",
            "Export job {code} died with out-of-memory, the worker has 512 MB. Larger pool requested.",
        ],
        solutions: &[
            "I could reproduce it: the export did not understand date filters without an end. This is fixed since today's release, and I have run your export again; it has all {count} rows.",
            "your export was larger than what a single worker may use. We moved large exports to a bigger pool, and yours went through just now. You can download it under Settings > Exports.",
        ],
        resolution: "Export worker fixed, export run again.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["api", "integration"],
        priorities: [10, 55, 30, 5],
        subjects: &[
            "API answers 429 all the time",
            "Webhook signature does not match",
            "Question about pagination in the API",
        ],
        openings: &[
            "our nightly job gets status 429 from the API since {weekday}, although we send no more than {count} requests in total. Did the limits change?",
            "we verify the signature of your webhooks as documented, but every third or so does not match. The body is not touched before the check. What do we miss?",
        ],
        questions: &[
            "could you send me the request id of one such answer (header X-Request-Id)? And do your jobs share one API key?",
            "which framework receives the webhook? Some parse and re-encode JSON before the handler sees it, which changes the bytes that are signed.",
        ],
        answers: &[
            "Request id is req-{code}. Yes, both jobs use the same key.",
            "It is a small Flask app. I think you are right, we use request.json and dump it again.",
        ],
        internal: &[
            "Two jobs start at 02:00 with the same key and share the limit of 60 a minute. Nothing wrong on our side.",
            "Numbers with trailing zeros change when their JSON is parsed and written again, that explains every third.",
        ],
        solutions: &[
            "the two jobs start at the same minute and share one key, and with it one limit. With a key for each job, or a start ten minutes apart, you stay well below it. The header Retry-After tells how long to wait.",
            "please compute the signature over the raw bytes of the body (request.get_data() in Flask), before anything parses it. I have added this to our documentation, with an example.",
        ],
        resolution: "Explained limits and raw-body signatures.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["mobile", "bug"],
        priorities: [15, 60, 20, 5],
        subjects: &[
            "Mobile app logs me out every day",
            "App crashes when I open a photo",
            "No push notifications on Android",
        ],
        openings: &[
            "the app on my phone asks me to log in again every single morning. My colleagues do not have this. Reinstalling did not help.",
            "since the last update the app closes itself whenever I open a photo in a card. It is a Pixel 7 with the latest Android.",
        ],
        questions: &[
            "which version of the app do you see under Profile > About? And is battery optimisation switched on for Tidepool?",
            "could you open Profile > Diagnostics and press \"Send report\"? That shows us what happened right before the crash.",
        ],
        answers: &[
            "Version 4.{count}. Battery optimisation was on, I have switched it off now.",
            "Done, the report number is {code}.",
        ],
        internal: &[
            "Crash report {code}: decoder runs out of memory for HEIC above 40 megapixels.",
            "Known issue on this vendor's phones: the keystore is wiped when the app is put to sleep.",
        ],
        solutions: &[
            "that explains it: the optimisation stopped the app and removed its session. With it switched off you should stay logged in. We are also changing the app so that it survives this.",
            "large photos were decoded in full size. Version 4.{count} fixes this and is in the store since today, please update and try again.",
        ],
        resolution: "Fixed in the current version of the app.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["outage"],
        priorities: [0, 5, 35, 60],
        subjects: &[
            "Cannot reach Tidepool at all",
            "URGENT: nobody here can work",
            "Error {code} on every page",
        ],
        openings: &[
            "nobody in our office can open Tidepool since a few minutes ago. The page shows \"Error {code}\". Our internet is fine otherwise. {count} people cannot work, please help quickly!",
            "we get a white page with \"{code}\" on everything we open. Is there an outage? The status page is green.",
        ],
        questions: &[
            "we are looking into it right now. Do you reach it through a mobile connection, outside of your office network?",
        ],
        answers: &[
            "Yes, through my phone it works! So it is something with our network?",
            "No, the same on the phone.",
        ],
        internal: &[
            "Edge node fra-3 drops TLS for one in four requests since 07:52. Draining it.",
            "Their firewall was updated last night and blocks our new address range.",
        ],
        solutions: &[
            "one of our servers in Frankfurt refused part of the connections. It was taken out of service 20 minutes later, and all is normal since then. We are sorry for the interruption; a report will be on the status page tomorrow.",
            "your firewall blocks the address range that we added last week. Please allow the ranges listed on our network page; with them it will work at once.",
        ],
        resolution: "Faulty edge node drained; service is normal.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["email", "notifications"],
        priorities: [20, 60, 20, 0],
        subjects: &[
            "E-mail notifications arrive hours late",
            "No e-mails from Tidepool any more",
            "Too many notification e-mails",
        ],
        openings: &[
            "mentions reach me by e-mail three to four hours late, which makes them rather useless. In the app they are there at once.",
            "nobody at {company} gets e-mails from you since {weekday}. They are not in the spam folder either.",
        ],
        questions: &[
            "could you forward me one of the late e-mails as an attachment? Its headers show where it waited.",
            "has your mail provider changed recently, or did someone add a filter for our domain?",
        ],
        answers: &[
            "Here it comes. It looks as if it was stuck on your side.",
            "We moved to a new provider last weekend, that could be it.",
        ],
        internal: &[
            "Headers show greylisting by their gateway, four hours. Nothing in our queue.",
            "Their new gateway rejects us with 550 5.7.1, our DKIM record is not cached yet.",
        ],
        solutions: &[
            "the headers show that your own gateway holds our messages back for four hours (\"greylisted\"). Your mail administrator can exempt our domain; the list of our senders is on the network page.",
            "your new provider refused our messages because of an old entry in its cache. I have asked them to clear it, and the messages of this morning were delivered just now.",
        ],
        resolution: "Greylisting at the customer's gateway; senders exempted.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["search"],
        priorities: [25, 60, 15, 0],
        subjects: &[
            "Search does not find new cards",
            "Search ignores words with umlauts",
        ],
        openings: &[
            "cards that I made today cannot be found by the search, older ones can. The title is exactly what I type.",
            "when I search for a name with an umlaut nothing comes up, although I see the card right in front of me.",
        ],
        questions: &[
            "how long after making the card did you search, and in which project? The search should know it after a few seconds.",
        ],
        answers: &["About an hour later, in \"{project}\"."],
        internal: &[
            "Search index of this workspace is {count} minutes behind, consumer restarted.",
            "Normalisation differs: composed against decomposed characters from macOS.",
        ],
        solutions: &[
            "the index of your workspace had fallen behind after last night's maintenance. It has caught up, and new cards appear within seconds again.",
            "names typed on a Mac are stored in another form of the same letters. The search now treats both alike, please try again.",
        ],
        resolution: "Search index caught up.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["calendar", "integration"],
        priorities: [20, 65, 15, 0],
        subjects: &[
            "Calendar sync shows wrong times",
            "Outlook calendar does not update",
        ],
        openings: &[
            "due dates from Tidepool appear one hour early in our Outlook calendars since the clocks changed.",
            "changes that we make in \"{project}\" do not reach the shared Outlook calendar any more. The last update was on {weekday}.",
        ],
        questions: &[
            "what time zone is set under Profile > Region for the person who connected the calendar?",
        ],
        answers: &["It says UTC+1 without a city. Should it be Berlin?"],
        internal: &[
            "Fixed offset instead of a zone in the profile, so no daylight saving. Same as the case of last spring.",
        ],
        solutions: &[
            "a fixed offset does not know about daylight saving. Please choose \"Berlin\" there; the calendar corrects itself within an hour.",
            "the connection had lost its permission. I have sent {colleague} a link to renew it, the calendar will then fill again by itself.",
        ],
        resolution: "Time zone corrected.",
    },
    Topic {
        team: TECHNICAL,
        tags: &["feature-request"],
        priorities: [80, 20, 0, 0],
        subjects: &[
            "Wish: dark mode",
            "Can cards repeat every week?",
            "Feature request: bulk edit of labels",
        ],
        openings: &[
            "is there a way to have cards come back every week? We copy the same ten by hand each Monday.",
            "a small wish: we would love to change the labels of many cards at once. With {count} cards it is no fun one by one.",
        ],
        questions: &[
            "thank you for the idea! Could you tell me a little more about how you would use it, so that I can pass it on well?",
        ],
        answers: &[
            "Mainly for our weekly stock check: ten cards, always on Monday, each for another person.",
        ],
        internal: &["Added to the ideas board, {count} votes by now."],
        solutions: &[
            "I have added your wish to the list of our product team, with your example. I cannot promise a date, but you will hear from us when it comes. Until then, templates (menu \"...\" > Save as template) save most of the copying.",
        ],
        resolution: "Passed on to the product team; showed templates.",
    },
    Topic {
        team: BILLING,
        tags: &["invoice"],
        priorities: [25, 65, 10, 0],
        subjects: &[
            "Invoice {invoice} has the wrong address",
            "We need a copy of invoice {invoice}",
            "VAT number missing on {invoice}",
        ],
        openings: &[
            "our company moved in spring, and invoice {invoice} still has the old address. Our accountant does not accept it like this. Could you correct it please?",
            "could you send us invoice {invoice} once more, with our VAT number on it? We cannot find where to enter it.",
        ],
        questions: &[
            "gladly. Could you send me the exact company name and address as they should appear, and your VAT number?",
        ],
        answers: &[
            "It is {company}, 14 Mill Lane. The VAT number is on our website's imprint, and in the attachment of my first e-mail.",
            "Thanks for the quick reply! The name stays the same, only the street changes: Harbour Street 9.",
        ],
        internal: &[
            "Invoice {invoice} is in a closed period: credit note and new invoice, no direct change.",
        ],
        solutions: &[
            "I have cancelled {invoice} and issued it anew with the right details; both documents are under Settings > Billing. Future invoices use the new address as well.",
            "the corrected invoice is on its way to you by e-mail. You can enter the VAT number under Settings > Billing > Company, then it is always there.",
        ],
        resolution: "Invoice reissued with the right details.",
    },
    Topic {
        team: BILLING,
        tags: &["payment"],
        priorities: [5, 45, 40, 10],
        subjects: &[
            "Card was declined, account now locked",
            "Payment failed although the card is valid",
            "Charged twice for this month",
        ],
        openings: &[
            "our payment of {amount} was declined and now our workspace is read-only. The card works everywhere else. Please unlock us, we have a deadline on {weekday}.",
            "I see two charges of {amount} on our statement for this month. Please check and refund one of them.",
        ],
        questions: &[
            "could you tell me the last four digits of the card and the day of the attempt? Please never send the full number.",
        ],
        answers: &[
            "It ends in 4417, and it was yesterday evening.",
            "Both are from the 2nd. I can send the statement if you need it.",
        ],
        internal: &[
            "Processor says \"authentication required\": the bank wants a confirmation, the customer never saw the dialog.",
            "Second charge is a reservation, not a capture. It falls away by itself within five days.",
        ],
        solutions: &[
            "your bank asked for an extra confirmation that never reached you. I have unlocked the workspace and sent a new payment link; with the confirmation in your banking app it will go through.",
            "the second entry is only a reservation, which was never collected. It disappears from your statement within five working days; if it does not, tell me and I refund it by hand.",
        ],
        resolution: "Payment link sent, workspace unlocked.",
    },
    Topic {
        team: BILLING,
        tags: &["plan"],
        priorities: [35, 60, 5, 0],
        subjects: &[
            "Switch to the annual plan",
            "Can we reduce our seats?",
            "What does the Business plan cost for {count} people?",
        ],
        openings: &[
            "we would like to change from monthly to annual payment. What happens with the month that we have already paid?",
            "three colleagues have left and we pay for too many seats. How can we go down to {count}?",
        ],
        questions: &[
            "happy to help. From which date should the change apply, and are you the owner of the workspace or is it {colleague}?",
        ],
        answers: &[
            "From the first of next month please. I am the owner.",
            "{colleague} is the owner, she agrees and is in copy.",
        ],
        internal: &["Discount of 10 % for annual approved by Hannah, valid until the end of the month."],
        solutions: &[
            "done: the annual plan begins on the first, and what is left of this month is credited. The confirmation is under Settings > Billing.",
            "the number of seats is now as you wished, from the next period on. Please deactivate the accounts of those who left until then, otherwise the seats come back.",
        ],
        resolution: "Plan changed as asked.",
    },
    Topic {
        team: BILLING,
        tags: &["refund"],
        priorities: [10, 60, 30, 0],
        subjects: &[
            "Refund for unused seats",
            "Cancelled in time but charged anyway",
            "Please refund invoice {invoice}",
        ],
        openings: &[
            "we cancelled on the 28th, and on the 1st {amount} were charged nevertheless. I attach the confirmation of the cancellation. Please refund it.",
            "we ordered {count} seats by mistake instead of a tenth of that, and noticed only with invoice {invoice}. Can this be undone?",
        ],
        questions: &[
            "I am sorry about that. Could you send me the number of the confirmation? It begins with C-.",
        ],
        answers: &["It is C-{code}.", "C-{code}, received on the 28th at 17:20."],
        internal: &[
            "Cancellation was received in time, job ran on the 27th already. Refund in full, our mistake.",
            "Within 14 days, goodwill is fine. Approved.",
        ],
        solutions: &[
            "you are right, the cancellation came in time. {amount} are on their way to your card and arrive within five working days. Please excuse the trouble.",
            "no problem: I have corrected the number of seats and refunded the difference of {amount}.",
        ],
        resolution: "Refunded.",
    },
    Topic {
        team: BILLING,
        tags: &["question"],
        priorities: [60, 40, 0, 0],
        subjects: &[
            "Do you offer a discount for schools?",
            "Purchase order instead of card?",
            "Quote for {count} users",
        ],
        openings: &[
            "do you have special prices for non-profit organisations and schools? And what would you need from us for it?",
            "our purchasing department insists on a purchase order and payment by bank transfer. Is that possible with you?",
        ],
        questions: &[
            "yes, that is possible. How many people would use it, and for how long would you like to commit?",
        ],
        answers: &["About {count} people, for one year to begin with."],
        internal: &["Sent to sales for a quote, template 3."],
        solutions: &[
            "the quote is in the attachment of my e-mail and valid for 30 days. With your purchase order we activate everything on the same day.",
        ],
        resolution: "Quote sent.",
    },
    Topic {
        team: ACCOUNTS,
        tags: &["login", "password"],
        priorities: [5, 55, 35, 5],
        subjects: &[
            "Cannot log in",
            "Password reset e-mail does not arrive",
            "Locked out after phone change",
        ],
        openings: &[
            "I cannot log in any more. The reset e-mail does not arrive, also not in the spam folder. I need to hand in my timesheet today.",
            "I have a new phone, and the codes of the authenticator app were not moved along. Now I cannot get past the second step. I did not keep the recovery codes.",
        ],
        questions: &[
            "which address do you use to log in? It may differ from the one that you wrote from.",
            "to be sure that it is you: could the owner of your workspace confirm the reset, or can you answer from the address of your account?",
        ],
        answers: &[
            "Oh, it is probably my old address, the one with my maiden name!",
            "{colleague} is the owner and will write to you right away.",
        ],
        internal: &[
            "Account is under the old domain, mails bounce since their move.",
            "Owner {colleague} confirmed by phone, call back number checked.",
        ],
        solutions: &[
            "your account still had the old address, so the e-mails went there. I have changed it after {colleague} confirmed, and sent a new link to you. It is valid for one hour.",
            "the second step is reset. When you log in next, you will be asked to set it up again; please keep the recovery codes this time.",
        ],
        resolution: "Address corrected and reset link sent.",
    },
    Topic {
        team: ACCOUNTS,
        tags: &["users", "roles"],
        priorities: [20, 65, 15, 0],
        subjects: &[
            "New colleague cannot see our projects",
            "How do I make someone an administrator?",
            "Please remove access of a former employee",
        ],
        openings: &[
            "{colleague} started this week and can log in, but sees none of our projects. What do we have to do?",
            "an employee left us yesterday. Please make sure that this account cannot be used any more, also on the phone.",
        ],
        questions: &[
            "in which group should the account be? I can see that it was invited as a guest, and guests see only what is shared with them.",
        ],
        answers: &["In the group \"Operations\", like all the others."],
        internal: &["Invited by link, which makes guests by default. Suggest that they change the default."],
        solutions: &[
            "I have shown {colleague} as a member of \"Operations\" now; the projects appear after the next login. Under Settings > Invitations you can choose that new people become members at once.",
            "the account is deactivated and all its sessions have ended. What it had created stays, and belongs to you now.",
        ],
        resolution: "Role corrected.",
    },
    Topic {
        team: ACCOUNTS,
        tags: &["sso"],
        priorities: [5, 45, 45, 5],
        subjects: &[
            "SSO login fails with error {code}",
            "SAML certificate expires soon",
            "Set up single sign-on with Entra",
        ],
        openings: &[
            "since this morning the login through our identity provider ends with \"{code}: invalid signature\". The direct login works for administrators only, so {count} people are locked out.",
            "our certificate for SAML expires on {weekday}. How do we bring the new one in without locking everybody out?",
        ],
        questions: &[
            "has the certificate been renewed on your side recently? Under Settings > Single sign-on you can see which one we know.",
            "could you send me the metadata file of your identity provider? It holds no secrets.",
        ],
        answers: &[
            "Yes, last night, by our IT provider. Nobody told us.",
            "It is attached to the e-mail that I just sent.",
        ],
        internal: &[
            "Fingerprint in their metadata is not the one on file. Two certificates at once are possible since March.",
            "Clock of their provider is six minutes off, assertions are not yet valid.",
        ],
        solutions: &[
            "I have added the new certificate beside the old one, and a test login worked. The old one can be removed under Settings > Single sign-on when all is well.",
            "the clock of your identity provider was six minutes fast, so its answers came \"from the future\". Your IT has corrected it; logins work since then.",
        ],
        resolution: "New certificate added.",
    },
    Topic {
        team: ACCOUNTS,
        tags: &["import", "onboarding"],
        priorities: [20, 65, 15, 0],
        subjects: &[
            "Import from spreadsheet fails at row {count}",
            "Moving our data from the old tool",
            "Duplicates after import",
        ],
        openings: &[
            "I tried to import our customer list, and it stops at row {count} with \"unexpected value\". I cannot see anything special in that row.",
            "we want to move from our old tool with about {count} projects. What is the best way, and can someone look over our shoulder?",
        ],
        questions: &[
            "could you send me that row and the one above it, with names changed if you like? Often it is a line break inside a cell.",
            "in which format can the old tool export? CSV or JSON would be best.",
        ],
        answers: &[
            "Row sent. Now that you say it, there is a line break in the address.",
            "It offers both. I took JSON.",
        ],
        internal: &[
            "Line break inside an unquoted cell, spreadsheet was saved with the wrong dialect.",
            "Ran their export through the staging import: 3 rows without owner, the rest is fine.",
        ],
        solutions: &[
            "it is the line break: please save the file as \"CSV UTF-8\", which puts such cells into quotes. I tried it with your rows and all of them were imported.",
            "I have imported your export into a test workspace. Please look around there; when you are happy, I do the same in the real one.",
        ],
        resolution: "Import run with a corrected file.",
    },
    Topic {
        team: ACCOUNTS,
        tags: &["privacy"],
        priorities: [10, 70, 20, 0],
        subjects: &[
            "Data processing agreement",
            "Please delete all data of a person",
            "Where is our data stored?",
        ],
        openings: &[
            "for our records we need a signed data processing agreement and the list of your subprocessors. Where can we get them?",
            "a former customer of ours asks to be forgotten. Which of your tools deletes everything about one person?",
        ],
        questions: &["who signs for {company}, and to which address may we send the document?"],
        answers: &["Our data protection officer, {colleague}. The address is the one on our website."],
        internal: &["Standard agreement, version of January. Legal does not need to look at it."],
        solutions: &[
            "the agreement is in your inbox for signature; the list of subprocessors is part of it. All data is stored in Frankfurt and Dublin.",
            "under Settings > Privacy > Erase a person you enter the address; you get a report of what was removed. Backups follow after 30 days.",
        ],
        resolution: "Agreement sent.",
    },
    Topic {
        team: ACCOUNTS,
        tags: &["training", "question"],
        priorities: [60, 40, 0, 0],
        subjects: &[
            "How do templates work?",
            "Training for our new team",
            "Where did the archive go?",
        ],
        openings: &[
            "after the redesign I cannot find the archive any more. Where did you hide it?",
            "we have {count} new people starting on {weekday}. Do you offer a short training, ideally online?",
        ],
        questions: &[
            "we have an online introduction every other Wednesday, 45 minutes. Would that suit you, or would you rather have one for yourselves?",
        ],
        answers: &["Wednesday is fine, please put us down for it."],
        internal: &["Put on the list for Wednesday."],
        solutions: &[
            "the archive is now in the menu with the three dots at the top right of each board. I know it takes getting used to!",
            "you are on the list, and the link will come the day before. The recording of the last one is on our help pages, if you would like a look already.",
        ],
        resolution: "Explained.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::people::TEAMS;

    #[test]
    fn every_topic_has_a_text_for_each_turn_and_a_team() {
        for Topic {
            team,
            tags,
            priorities,
            subjects,
            openings,
            questions,
            answers,
            internal,
            solutions,
            resolution,
        } in &TOPICS
        {
            assert!(*team < TEAMS.len() && !tags.is_empty() && !resolution.is_empty());
            assert!(priorities.iter().sum::<i64>() > 0);
            for texts in [subjects, openings, questions, answers, internal, solutions] {
                assert!(
                    !texts.is_empty() && texts.iter().all(|text| !text.trim().is_empty()),
                    "{resolution}"
                );
            }
            assert!(
                subjects.iter().all(|subject| subject.len() <= 150),
                "{resolution}"
            );
        }
    }
}
