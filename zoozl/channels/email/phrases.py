"""What mail programs and people write around what they mean, in the languages of many mails."""

# ruff: noqa: RUF001 - these are the letters and dashes of those languages

from __future__ import annotations

import re

WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb\b.*|a écrit|ha scritto|escribió|escreveu|skrev\b.*|schreef\b.*|kirjoitti|napsala?|"
    r"napsal\(a\)|napisał(?:a|\(a\))?\b.*|rakstīja|rašė|kirjutas|пишет|писал|написал(?:а|\(а\))?|写道|のメール|작성)"
    r"\s*[:：]$",
    re.IGNORECASE,
)
OPENING = re.compile(r"(?:On|Am|Le|El|Den|Il|Em|Op|Dne|W dniu|Dnia)\b")
SEPARATOR = re.compile(
    r"[-_=*\s]{2,}(?:Original(?: |e )?(?:Message|Appointment|meddelande)|Forwarded message|Forwarded by .{1,100}|"
    r"(?:Ursprüngliche|Weitergeleitete|Originale) Nachricht|Message (?:d'origine|transféré|original)|"
    r"Mensaje (?:original|reenviado)|Mensagem (?:original|encaminhada)|Messaggio (?:originale|inoltrato)|"
    r"Oprindelig meddelelse|Ursprungligt meddelande|Vidarebefordrat meddelande|Opprinnelig melding|"
    r"Oorspronkelijk bericht|Doorgestuurd bericht|Wiadomość oryginalna|Původní zpráva|Alkuperäinen viesti|"
    r"Sākotnējais ziņojums|Oriģinālais ziņojums|Pārsūtītais ziņojums|Исходное сообщение|"
    r"Пересылаемое сообщение|Пересланное сообщение)[-_=*\s]*",
    re.IGNORECASE,
)
FORWARD = re.compile(
    r"(?:Begin forwarded message|Anfang der weitergeleiteten Nachricht|Début du message transféré|"
    r"Inicio del mensaje reenviado|Inizio messaggio inoltrato|Vidarebefordrat brev)\s*:",
    re.IGNORECASE,
)
RULE = re.compile(r"_{10,}|(?:_ ?){20,}")
HEADER = re.compile(
    r"[*>\s]{0,6}(From|Sent|To|Subject|Date|Cc|Von|Gesendet|An|Betreff|Datum|De|Envoyé|À|Objet|Enviado|Para|Asunto|"
    r"Fecha|Da|Inviato|A|Oggetto|Från|Skickat|Till|Ämne|Fra|Sendt|Til|Emne|Dato|Van|Verzonden|Aan|Onderwerp|Od|"
    r"Wysłano|Do|Temat|No|Nosūtīts|Kam|Temats|Tēma|Nuo|Kam|Saatja|Saadetud|Отправлено|От|Кому|Тема)\s?\*?\s?:",
    re.IGNORECASE,
)
DELIMITER = re.compile(r"(?:--|—|– –|__) ?")
MOBILE = re.compile(
    r"(?:Sent from (?:my |Mail|Outlook|Yahoo|Proton|an? )|Get Outlook for |Sent via |Von meinem .{1,40} gesendet|"
    r"Gesendet von |Gesendet mit |Envoyé de(?:puis)? mon |Enviado desde mi |Inviato da |Skickat från min |"
    r"Sendt fra min |Verstuurd vanaf mijn |Nosūtīts no |Lähetetty |Отправлено с ).{0,80}",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"(?:(?:best|kind|warm|many|with kind|with best|my best)?\s?regards|best(?: wishes)?|cheers|"
    r"(?:many )?thanks(?: a lot| again)?|"
    r"thank you(?: very much)?|sincerely|yours(?: sincerely| truly| faithfully)?|"
    r"(?:mit )?(?:freundlichen?|besten?|lieben?|viele|schöne) grü(?:ß|ss)en?|(?:lg|vg|mfg)|"
    r"cordialement|bien à vous|merci|saludos(?: cordiales)?|un saludo|gracias|cordiali saluti|saluti|grazie|"
    r"med vänliga? hälsningar?|vänliga hälsningar|mvh|med venlig hilsen|venlig hilsen|hilsen|"
    r"met vriendelijke groet(?:en)?|groet(?:en)?|pozdrawiam|s pozdravem|"
    r"ar cieņu|paldies|lai jauka diena|pagarbiai|lugupidamisega|ystävällisin terveisin|с уважением|спасибо)"
    r"\s?[,.!–-]{0,2}",
    re.IGNORECASE,
)
SALUTATION = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|guten (?:tag|morgen|abend)|liebe[rs]?|"
    r"sehr geehrte[rs]?|"
    r"bonjour|bonsoir|hola|buenos días|ciao|buongiorno|hej|hei|goddag|beste|dag|cześć|dzień dobry|dobrý den|"
    r"labdien|sveiki|čau|labas|tere|здравствуйте|привет|добрый день)(?:(?:[ ,]+[\w.'’-]{1,30}){0,4} ?[,!:–-]|[.!,]?)",
    re.IGNORECASE,
)
