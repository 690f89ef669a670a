//! What is written at the sample desk: topics, each with two stories, and the turns that each takes.
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
    pub(super) stories: [Story; 2],
}

/// One way in which it can go.
pub(super) struct Story {
    pub(super) subjects: &'static [&'static str],
    /// How the customer tells it.
    pub(super) opening: &'static str,
    /// What the agent asks first.
    pub(super) question: &'static str,
    /// What the customer says to that.
    pub(super) answer: &'static str,
    /// What the desk says among itself.
    pub(super) internal: &'static str,
    /// How it is solved.
    pub(super) solution: &'static str,
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
pub(super) const AGENT_GREETINGS: [&str; 2] = ["Hi {customer},", "Hello {customer},"];
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
        stories: [
            Story {
                subjects: &[
                    "Dashboard takes a minute to load",
                    "Everything is very slow since {weekday}",
                ],
                opening: "since {weekday} our dashboard needs about a minute until it shows anything. It happens for everybody here, also in other browsers. We have not changed anything on our side.",
                question: "could you tell me at what time you saw it last, and whether it is the same in a private window of {browser}? A screenshot of the network tab would help us a lot.",
                answer: "It was around 9:40 this morning, and yes, the private window makes no difference. I have sent the screenshot to {colleague} who can forward it if you need it.",
                internal: "Query log shows a sequential scan for this workspace: the archive filter has no index when cards have more than three labels. Asked the storage team.",
                solution: "we found the cause: boards with many archived cards were sorted in an inefficient way. A fix went live an hour ago, and your board now loads in under a second here. Please tell me if you see anything else.",
                resolution: "Sorting of archived cards fixed.",
            },
            Story {
                subjects: &["Board \"{project}\" loads very slowly"],
                opening: "opening the board \"{project}\" takes forever, sometimes the page even gives up with a timeout. Smaller boards are fine. It has about {count} cards.",
                question: "thanks for reporting this. Does it affect all of your boards or only the large ones? And roughly how many people work on them at the same time?",
                answer: "Only the big ones. There are usually eight to ten of us in the morning, it gets better in the afternoon.",
                internal: "p95 for this tenant went from 400 ms to 38 s on {weekday}. It coincides with the label migration.",
                solution: "our engineers added a missing index for your workspace. Loading \"{project}\" now takes about half a second. Sorry for the slow mornings!",
                resolution: "Missing index for large boards added.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["export", "bug"],
        priorities: [10, 60, 25, 5],
        stories: [
            Story {
                subjects: &["CSV export is empty", "Exported file has broken characters"],
                opening: "when I export \"{project}\" as CSV I get a file with nothing but the column names. Last week it still worked. I tried {browser} and another browser.",
                question: "which filter was active when you exported? The name of the saved view is enough. And did you export as yourself or with the shared link?",
                answer: "It is the view called \"Open by owner\", and I was logged in as myself.",
                internal: "Reproduced: a date filter without an end gives an empty range in the export worker, the screen treats it as open-ended.",
                solution: "I could reproduce it: the export did not understand date filters without an end. This is fixed since today's release, and I have run your export again; it has all {count} rows.",
                resolution: "Export understands open date filters; export run again.",
            },
            Story {
                subjects: &["Export of \"{project}\" stops with error {code}"],
                opening: "the export of our project stops at about half with \"Error {code}\". We need the numbers for the board meeting on {weekday}.",
                question: "could you send me the time of the attempt and the link in your address bar? Then I can find the job in our logs.",
                answer: "That was at 14:05 today. The link ends in /exports/{count}.",
                internal: "Export job {code} died with out-of-memory, the worker has 512 MB. Larger pool requested.",
                solution: "your export was larger than what a single worker may use. We moved large exports to a bigger pool, and yours went through just now. You can download it under Settings > Exports.",
                resolution: "Large exports moved to a bigger pool.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["api", "integration"],
        priorities: [10, 55, 30, 5],
        stories: [
            Story {
                subjects: &["API answers 429 all the time"],
                opening: "our nightly job gets status 429 from the API since {weekday}, although we send no more than {count} requests in total. Did the limits change?",
                question: "could you send me the request id of one such answer (header X-Request-Id)? And do your jobs share one API key?",
                answer: "Request id is req-{code}. Yes, both jobs use the same key.",
                internal: "Two jobs start at 02:00 with the same key and share the limit of 60 a minute. Nothing wrong on our side.",
                solution: "the two jobs start at the same minute and share one key, and with it one limit. With a key for each job, or a start ten minutes apart, you stay well below it. The header Retry-After tells how long to wait.",
                resolution: "Two jobs shared one key; explained the limits.",
            },
            Story {
                subjects: &["Webhook signature does not match"],
                opening: "we verify the signature of your webhooks as documented, but every third or so does not match. The body is not touched before the check. What do we miss?",
                question: "which framework receives the webhook? Some parse and re-encode JSON before the handler sees it, which changes the bytes that are signed.",
                answer: "It is a small Flask app. I think you are right, we use request.json and dump it again.",
                internal: "Numbers with trailing zeros change when their JSON is parsed and written again, that explains every third.",
                solution: "please compute the signature over the raw bytes of the body (request.get_data() in Flask), before anything parses it. I have added this to our documentation, with an example.",
                resolution: "Signature is to be computed over the raw bytes.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["mobile", "bug"],
        priorities: [15, 60, 20, 5],
        stories: [
            Story {
                subjects: &["Mobile app logs me out every day"],
                opening: "the app on my phone asks me to log in again every single morning. My colleagues do not have this. Reinstalling did not help.",
                question: "which version of the app do you see under Profile > About? And is battery optimisation switched on for Tidepool?",
                answer: "Version 4.{count}. Battery optimisation was on, I have switched it off now.",
                internal: "Known issue on this vendor's phones: the keystore is wiped when the app is put to sleep.",
                solution: "that explains it: the optimisation stopped the app and removed its session. With it switched off you should stay logged in. We are also changing the app so that it survives this.",
                resolution: "Battery optimisation switched off.",
            },
            Story {
                subjects: &["App crashes when I open a photo"],
                opening: "since the last update the app closes itself whenever I open a photo in a card. It is a Pixel 7 with the latest Android.",
                question: "could you open Profile > Diagnostics and press \"Send report\"? That shows us what happened right before the crash.",
                answer: "Done, the report number is {code}.",
                internal: "Crash report {code}: decoder runs out of memory for HEIC above 40 megapixels.",
                solution: "large photos were decoded in full size. Version 4.{count} fixes this and is in the store since today, please update and try again.",
                resolution: "Fixed in the current version of the app.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["outage"],
        priorities: [0, 5, 35, 60],
        stories: [
            Story {
                subjects: &["Cannot reach Tidepool at all", "URGENT: nobody here can work"],
                opening: "nobody in our office can open Tidepool since a few minutes ago. The page shows \"Error {code}\". Our internet is fine otherwise. {count} people cannot work, please help quickly!",
                question: "we are looking into it right now. Do you reach it through a mobile connection, outside of your office network?",
                answer: "No, the same on the phone.",
                internal: "Edge node fra-3 drops TLS for one in four requests since 07:52. Draining it.",
                solution: "one of our servers in Frankfurt refused part of the connections. It was taken out of service 20 minutes later, and all is normal since then. We are sorry for the interruption; a report will be on the status page tomorrow.",
                resolution: "Faulty edge node drained; service is normal.",
            },
            Story {
                subjects: &["Error {code} on every page"],
                opening: "we get a white page with \"{code}\" on everything we open. Is there an outage? The status page is green.",
                question: "we are looking into it right now. Do you reach it through a mobile connection, outside of your office network?",
                answer: "Yes, through my phone it works! So it is something with our network?",
                internal: "Their firewall was updated last night and blocks our new address range.",
                solution: "your firewall blocks the address range that we added last week. Please allow the ranges listed on our network page; with them it will work at once.",
                resolution: "Customer's firewall blocked the new address range.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["email", "notifications"],
        priorities: [20, 60, 20, 0],
        stories: [
            Story {
                subjects: &["E-mail notifications arrive hours late"],
                opening: "mentions reach me by e-mail three to four hours late, which makes them rather useless. In the app they are there at once.",
                question: "could you forward me one of the late e-mails as an attachment? Its headers show where it waited.",
                answer: "Here it comes. It looks as if it was stuck on your side.",
                internal: "Headers show greylisting by their gateway, four hours. Nothing in our queue.",
                solution: "the headers show that your own gateway holds our messages back for four hours (\"greylisted\"). Your mail administrator can exempt our domain; the list of our senders is on the network page.",
                resolution: "Greylisting at the customer's gateway; senders exempted.",
            },
            Story {
                subjects: &["No e-mails from Tidepool any more"],
                opening: "nobody at {company} gets e-mails from you since {weekday}. They are not in the spam folder either.",
                question: "has your mail provider changed recently, or did someone add a filter for our domain?",
                answer: "We moved to a new provider last weekend, that could be it.",
                internal: "Their new gateway rejects us with 550 5.7.1, our DKIM record is not cached yet.",
                solution: "your new provider refused our messages because of an old entry in its cache. I have asked them to clear it, and the messages of this morning were delivered just now.",
                resolution: "Provider cleared its cache; delivered again.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["search"],
        priorities: [25, 60, 15, 0],
        stories: [
            Story {
                subjects: &["Search does not find new cards"],
                opening: "cards that I made today cannot be found by the search, older ones can. The title is exactly what I type.",
                question: "how long after making the card did you search, and in which project? The search should know it after a few seconds.",
                answer: "About an hour later, in \"{project}\".",
                internal: "Search index of this workspace is {count} minutes behind, consumer restarted.",
                solution: "the index of your workspace had fallen behind after last night's maintenance. It has caught up, and new cards appear within seconds again.",
                resolution: "Search index caught up.",
            },
            Story {
                subjects: &["Search ignores words with umlauts"],
                opening: "when I search for a name with an umlaut nothing comes up, although I see the card right in front of me.",
                question: "could you send me a link to such a card, and tell me on which system the title was typed? It makes a difference.",
                answer: "Here is one: /cards/{count}. {colleague} typed it, on a Mac.",
                internal: "Normalisation differs: composed against decomposed characters from macOS.",
                solution: "names typed on a Mac are stored in another form of the same letters. The search now treats both alike, please try again.",
                resolution: "Search treats both forms of a letter alike.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["calendar", "integration"],
        priorities: [20, 65, 15, 0],
        stories: [
            Story {
                subjects: &["Calendar sync shows wrong times"],
                opening: "due dates from Tidepool appear one hour early in our Outlook calendars since the clocks changed.",
                question: "what time zone is set under Profile > Region for the person who connected the calendar?",
                answer: "It says UTC+1 without a city. Should it be Berlin?",
                internal: "Fixed offset instead of a zone in the profile, so no daylight saving. Same as the case of last spring.",
                solution: "a fixed offset does not know about daylight saving. Please choose \"Berlin\" there; the calendar corrects itself within an hour.",
                resolution: "Time zone corrected.",
            },
            Story {
                subjects: &["Outlook calendar does not update"],
                opening: "changes that we make in \"{project}\" do not reach the shared Outlook calendar any more. The last update was on {weekday}.",
                question: "who connected the shared calendar at the time, and does that account still exist with you?",
                answer: "That was {colleague}, who changed departments last month.",
                internal: "Token refused since {weekday}: the account that granted it lost its calendar licence.",
                solution: "the connection had lost its permission. I have sent {colleague} a link to renew it, the calendar will then fill again by itself.",
                resolution: "Permission of the calendar renewed.",
            },
        ],
    },
    Topic {
        team: TECHNICAL,
        tags: &["feature-request"],
        priorities: [80, 20, 0, 0],
        stories: [
            Story {
                subjects: &["Can cards repeat every week?"],
                opening: "is there a way to have cards come back every week? We copy the same ten by hand each Monday.",
                question: "thank you for the idea! Could you tell me a little more about how you would use it, so that I can pass it on well?",
                answer: "Mainly for our weekly stock check: ten cards, always on Monday, each for another person.",
                internal: "Added to the ideas board, {count} votes by now.",
                solution: "I have added your wish to the list of our product team, with your example. I cannot promise a date, but you will hear from us when it comes. Until then, templates (menu \"...\" > Save as template) save most of the copying.",
                resolution: "Wish passed on; showed templates.",
            },
            Story {
                subjects: &["Feature request: bulk edit of labels"],
                opening: "a small wish: we would love to change the labels of many cards at once. With {count} cards it is no fun one by one.",
                question: "thank you for the idea! Could you tell me a little more about how you would use it, so that I can pass it on well?",
                answer: "Mainly after a project has ended: all of its cards get the label \"done\", and lose the others.",
                internal: "Bulk edit is on the plan for next quarter. Linked the ticket.",
                solution: "good news: this is planned, and I have added your example to it. Until then, you can mark several cards with Shift in the list view and drag them onto a label, up to 50 at a time.",
                resolution: "Wish passed on; showed the selection with Shift.",
            },
        ],
    },
    Topic {
        team: BILLING,
        tags: &["invoice"],
        priorities: [25, 65, 10, 0],
        stories: [
            Story {
                subjects: &["Invoice {invoice} has the wrong address"],
                opening: "our company moved in spring, and invoice {invoice} still has the old address. Our accountant does not accept it like this. Could you correct it please?",
                question: "gladly. Could you send me the exact company name and address as they should appear, and your VAT number?",
                answer: "Thanks for the quick reply! The name stays the same, only the street changes: Harbour Street 9.",
                internal: "Invoice {invoice} is in a closed period: credit note and new invoice, no direct change.",
                solution: "I have cancelled {invoice} and issued it anew with the right details; both documents are under Settings > Billing. Future invoices use the new address as well.",
                resolution: "Invoice reissued with the new address.",
            },
            Story {
                subjects: &[
                    "We need a copy of invoice {invoice}",
                    "VAT number missing on {invoice}",
                ],
                opening: "could you send us invoice {invoice} once more, with our VAT number on it? We cannot find where to enter it.",
                question: "gladly. Could you send me the exact company name and address as they should appear, and your VAT number?",
                answer: "It is {company}, 14 Mill Lane. The VAT number is in the footer of this message.",
                internal: "VAT number checked in the register, it is valid.",
                solution: "the corrected invoice is on its way to you by e-mail. You can enter the VAT number under Settings > Billing > Company, then it is always there.",
                resolution: "Invoice sent again with the VAT number.",
            },
        ],
    },
    Topic {
        team: BILLING,
        tags: &["payment"],
        priorities: [5, 45, 40, 10],
        stories: [
            Story {
                subjects: &[
                    "Card was declined, account now locked",
                    "Payment failed although the card is valid",
                ],
                opening: "our payment of {amount} was declined and now our workspace is read-only. The card works everywhere else. Please unlock us, we have a deadline on {weekday}.",
                question: "could you tell me the last four digits of the card and the day of the attempt? Please never send the full number.",
                answer: "It ends in 4417, and it was yesterday evening.",
                internal: "Processor says \"authentication required\": the bank wants a confirmation, the customer never saw the dialog.",
                solution: "your bank asked for an extra confirmation that never reached you. I have unlocked the workspace and sent a new payment link; with the confirmation in your banking app it will go through.",
                resolution: "Payment link sent, workspace unlocked.",
            },
            Story {
                subjects: &["Charged twice for this month"],
                opening: "I see two charges of {amount} on our statement for this month. Please check and refund one of them.",
                question: "could you tell me the last four digits of the card and the day of the attempt? Please never send the full number.",
                answer: "Both are from the 2nd, and the card ends in 0931. I can send the statement if you need it.",
                internal: "Second charge is a reservation, not a capture. It falls away by itself within five days.",
                solution: "the second entry is only a reservation, which was never collected. It disappears from your statement within five working days; if it does not, tell me and I refund it by hand.",
                resolution: "Second entry is only a reservation.",
            },
        ],
    },
    Topic {
        team: BILLING,
        tags: &["plan"],
        priorities: [35, 60, 5, 0],
        stories: [
            Story {
                subjects: &["Switch to the annual plan"],
                opening: "we would like to change from monthly to annual payment. What happens with the month that we have already paid?",
                question: "happy to help. From which date should the change apply, and are you the owner of the workspace or is it {colleague}?",
                answer: "From the first of next month please. I am the owner.",
                internal: "Discount of 10 % for annual approved by Hannah, valid until the end of the month.",
                solution: "done: the annual plan begins on the first, and what is left of this month is credited. The confirmation is under Settings > Billing.",
                resolution: "Changed to the annual plan.",
            },
            Story {
                subjects: &["Can we reduce our seats?"],
                opening: "three colleagues have left and we pay for too many seats. How can we go down to {count}?",
                question: "happy to help. From which date should the change apply, and are you the owner of the workspace or is it {colleague}?",
                answer: "{colleague} is the owner, she agrees and is in copy.",
                internal: "Reduction is possible at the end of the period only; period ends on the last of the month.",
                solution: "the number of seats is now as you wished, from the next period on. Please deactivate the accounts of those who left until then, otherwise the seats come back.",
                resolution: "Number of seats reduced.",
            },
        ],
    },
    Topic {
        team: BILLING,
        tags: &["refund"],
        priorities: [10, 60, 30, 0],
        stories: [
            Story {
                subjects: &["Cancelled in time but charged anyway"],
                opening: "we cancelled on the 28th, and on the 1st {amount} were charged nevertheless. I attach the confirmation of the cancellation. Please refund it.",
                question: "I am sorry about that. Could you send me the number of the confirmation? It begins with C-.",
                answer: "It is C-{code}.",
                internal: "Cancellation was received in time, job ran on the 27th already. Refund in full, our mistake.",
                solution: "you are right, the cancellation came in time. {amount} are on their way to your card and arrive within five working days. Please excuse the trouble.",
                resolution: "Refunded in full.",
            },
            Story {
                subjects: &["Refund for unused seats", "Please refund invoice {invoice}"],
                opening: "we ordered {count} seats by mistake instead of a tenth of that, and noticed only with invoice {invoice}. Can this be undone?",
                question: "that can be put right. How many seats do you need in fact, and has anybody been invited to the others yet?",
                answer: "We need twelve. No, nobody has been invited.",
                internal: "Within 14 days, goodwill is fine. Approved.",
                solution: "no problem: I have corrected the number of seats and refunded the difference of {amount}.",
                resolution: "Seats corrected, difference refunded.",
            },
        ],
    },
    Topic {
        team: BILLING,
        tags: &["question"],
        priorities: [60, 40, 0, 0],
        stories: [
            Story {
                subjects: &["Do you offer a discount for schools?"],
                opening: "do you have special prices for non-profit organisations and schools? And what would you need from us for it?",
                question: "yes, that is possible. How many people would use it, and for how long would you like to commit?",
                answer: "About {count} people, for one year to begin with.",
                internal: "Sent to sales for a quote, template 3.",
                solution: "the quote is on its way to you by e-mail. It holds our discount of 30 % for schools and non-profit organisations, and is valid for 30 days.",
                resolution: "Quote with the discount sent.",
            },
            Story {
                subjects: &["Purchase order instead of card?", "Quote for {count} users"],
                opening: "our purchasing department insists on a purchase order and payment by bank transfer. Is that possible with you?",
                question: "yes, from ten users on and with annual payment. To whom should the quote be addressed?",
                answer: "To our purchasing department please, attention of {colleague}. We will be {count} people.",
                internal: "Credit check is fine, transfer within 30 days approved.",
                solution: "the quote is on its way and valid for 30 days. With your purchase order we activate everything on the same day; the invoice can be paid by bank transfer within 30 days.",
                resolution: "Payment by bank transfer set up.",
            },
        ],
    },
    Topic {
        team: ACCOUNTS,
        tags: &["login", "password"],
        priorities: [5, 55, 35, 5],
        stories: [
            Story {
                subjects: &["Cannot log in", "Password reset e-mail does not arrive"],
                opening: "I cannot log in any more. The reset e-mail does not arrive, also not in the spam folder. I need to hand in my timesheet today.",
                question: "which address do you use to log in? It may differ from the one that you wrote from.",
                answer: "Oh, it is probably my old address, the one with my maiden name!",
                internal: "Account is under the old domain, mails bounce since their move.",
                solution: "your account still had the old address, so the e-mails went there. I have changed it after {colleague} confirmed, and sent a new link to you. It is valid for one hour.",
                resolution: "Address corrected and reset link sent.",
            },
            Story {
                subjects: &["Locked out after phone change"],
                opening: "I have a new phone, and the codes of the authenticator app were not moved along. Now I cannot get past the second step. I did not keep the recovery codes.",
                question: "to be sure that it is you: could the owner of your workspace confirm the reset, or can you answer from the address of your account?",
                answer: "{colleague} is the owner and will write to you right away.",
                internal: "Owner {colleague} confirmed by phone, call back number checked.",
                solution: "the second step is reset. When you log in next, you will be asked to set it up again; please keep the recovery codes this time.",
                resolution: "Second step reset after the owner confirmed.",
            },
        ],
    },
    Topic {
        team: ACCOUNTS,
        tags: &["users", "roles"],
        priorities: [20, 65, 15, 0],
        stories: [
            Story {
                subjects: &["New colleague cannot see our projects"],
                opening: "{colleague} started this week and can log in, but sees none of our projects. What do we have to do?",
                question: "in which group should the account be? I can see that it was invited as a guest, and guests see only what is shared with them.",
                answer: "In the group \"Operations\", like all the others.",
                internal: "Invited by link, which makes guests by default. Suggest that they change the default.",
                solution: "I have shown {colleague} as a member of \"Operations\" now; the projects appear after the next login. Under Settings > Invitations you can choose that new people become members at once.",
                resolution: "Role corrected.",
            },
            Story {
                subjects: &["Please remove access of a former employee"],
                opening: "an employee left us yesterday. Please make sure that this account cannot be used any more, also on the phone.",
                question: "of course. What is the address of the account, and who should own what it created?",
                answer: "It is {colleague}'s account. Please give everything to me.",
                internal: "Deactivated, four sessions ended, ownership of 31 boards moved.",
                solution: "the account is deactivated and all its sessions have ended. What it had created stays, and belongs to you now.",
                resolution: "Account deactivated, sessions ended.",
            },
        ],
    },
    Topic {
        team: ACCOUNTS,
        tags: &["sso"],
        priorities: [5, 45, 45, 5],
        stories: [
            Story {
                subjects: &["SSO login fails with error {code}"],
                opening: "since this morning the login through our identity provider ends with \"{code}: invalid signature\". The direct login works for administrators only, so {count} people are locked out.",
                question: "has the certificate been renewed on your side recently? Under Settings > Single sign-on you can see which one we know.",
                answer: "Yes, last night, by our IT provider. Nobody told us.",
                internal: "Fingerprint in their metadata is not the one on file. Two certificates at once are possible since March.",
                solution: "I have added the new certificate beside the old one, and a test login worked. The old one can be removed under Settings > Single sign-on when all is well.",
                resolution: "New certificate added.",
            },
            Story {
                subjects: &["SAML certificate expires soon"],
                opening: "our certificate for SAML expires on {weekday}. How do we bring the new one in without locking everybody out?",
                question: "that works without a gap. Could you send me the metadata file of your identity provider? It holds no secrets.",
                answer: "It is attached to the e-mail that I just sent.",
                internal: "Two certificates at once are possible since March. New one is valid from {weekday} on.",
                solution: "the new certificate is now accepted beside the old one. You can switch over on your side whenever you like, nobody will notice; afterwards the old one can be removed under Settings > Single sign-on.",
                resolution: "Certificates can be exchanged without a gap; explained and done.",
            },
        ],
    },
    Topic {
        team: ACCOUNTS,
        tags: &["import", "onboarding"],
        priorities: [20, 65, 15, 0],
        stories: [
            Story {
                subjects: &["Import from spreadsheet fails at row {count}"],
                opening: "I tried to import our customer list, and it stops at row {count} with \"unexpected value\". I cannot see anything special in that row.",
                question: "could you send me that row and the one above it, with names changed if you like? Often it is a line break inside a cell.",
                answer: "Row sent. Now that you say it, there is a line break in the address.",
                internal: "Line break inside an unquoted cell, spreadsheet was saved with the wrong dialect.",
                solution: "it is the line break: please save the file as \"CSV UTF-8\", which puts such cells into quotes. I tried it with your rows and all of them were imported.",
                resolution: "Import run with a corrected file.",
            },
            Story {
                subjects: &["Moving our data from the old tool"],
                opening: "we want to move from our old tool with about {count} projects. What is the best way, and can someone look over our shoulder?",
                question: "in which format can the old tool export? CSV or JSON would be best.",
                answer: "It offers both. I took JSON.",
                internal: "Ran their export through the staging import: 3 rows without owner, the rest is fine.",
                solution: "I have imported your export into a test workspace. Please look around there; when you are happy, I do the same in the real one.",
                resolution: "Export imported into a test workspace, then into the real one.",
            },
        ],
    },
    Topic {
        team: ACCOUNTS,
        tags: &["privacy"],
        priorities: [10, 70, 20, 0],
        stories: [
            Story {
                subjects: &["Data processing agreement"],
                opening: "for our records we need a signed data processing agreement and the list of your subprocessors. Where can we get them?",
                question: "who signs for {company}, and to which address may we send the document?",
                answer: "Our data protection officer, {colleague}. The address is the one on our website.",
                internal: "Standard agreement, version of January. Legal does not need to look at it.",
                solution: "the agreement is in your inbox for signature; the list of subprocessors is part of it. All data is stored in Frankfurt and Dublin.",
                resolution: "Agreement sent.",
            },
            Story {
                subjects: &["Please delete all data of a person"],
                opening: "a former customer of ours asks to be forgotten. Which of your tools deletes everything about one person?",
                question: "you can do this yourself as an administrator. Does the person appear as a member, or only in the contents of cards?",
                answer: "Only in cards and comments, as a contact.",
                internal: "Erasure covers comments and contacts since version 4. Attachments must be looked at by hand.",
                solution: "under Settings > Privacy > Erase a person you enter the address; you get a report of what was removed. Backups follow after 30 days.",
                resolution: "Showed how to erase a person.",
            },
        ],
    },
    Topic {
        team: ACCOUNTS,
        tags: &["training", "question"],
        priorities: [60, 40, 0, 0],
        stories: [
            Story {
                subjects: &["Where did the archive go?"],
                opening: "after the redesign I cannot find the archive any more. Where did you hide it?",
                question: "it has moved a little. Which view do you use mostly, the board or the list?",
                answer: "The board, on a rather small screen.",
                internal: "Fifth question about the archive since the redesign. Told the design team.",
                solution: "the archive is now in the menu with the three dots at the top right of each board. I know it takes getting used to!",
                resolution: "Showed where the archive is.",
            },
            Story {
                subjects: &["Training for our new team"],
                opening: "we have {count} new people starting on {weekday}. Do you offer a short training, ideally online?",
                question: "we have an online introduction every other Wednesday, 45 minutes. Would that suit you, or would you rather have one for yourselves?",
                answer: "Wednesday is fine, please put us down for it.",
                internal: "Put on the list for Wednesday.",
                solution: "you are on the list, and the link will come the day before. The recording of the last one is on our help pages, if you would like a look already.",
                resolution: "Put on the list for the introduction.",
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::people::TEAMS;

    #[test]
    fn every_topic_has_a_team_and_every_story_a_text_for_each_turn() {
        for Topic {
            team,
            tags,
            priorities,
            stories,
        } in &TOPICS
        {
            assert!(*team < TEAMS.len() && !tags.is_empty() && priorities.iter().sum::<i64>() > 0);
            for story in stories {
                let Story {
                    subjects,
                    opening,
                    question,
                    answer,
                    internal,
                    solution,
                    resolution,
                } = story;
                assert!(!subjects.is_empty() && subjects.iter().all(|subject| subject.len() <= 150));
                for text in [opening, question, answer, internal, solution, resolution] {
                    assert!(!text.trim().is_empty(), "{opening}");
                }
            }
        }
    }
}
