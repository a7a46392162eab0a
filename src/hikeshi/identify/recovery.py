"""What may be tried for getting data back, by how the files were encrypted. Possibilities, never promises."""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.identify.encrypted import FileFacts
from hikeshi.model.text import Text

_PARTLY = frozenset({"head", "tail", "chunked", "intermittent", "fine"})
_PACKAGES = frozenset((
    "docx", "xlsx", "pptx", "docm", "xlsm", "pptm", "odt", "ods", "odp", "zip", "jar", "epub", "pdf"))
_STORES = frozenset((
    "sqlite", "db", "mdf", "ldf", "accdb", "mdb", "vmdk", "vhd", "vhdx", "qcow2", "bak", "pst", "ost"))

_COPY_FIRST = Text(
    "先に暗号化されたファイルと脅迫文の写しを取り、原本には触れず、写しで試してください。復号の道具が後から見つかることがあります",
    "first copy the encrypted files and the note, leave the originals alone and try on the copies; "
    "a decryptor is sometimes found later")
_ELSEWHERE = Text(
    "シャドウコピー、スナップショット、バックアップ、クラウドの以前の版が残っていないか、清潔な機器から確かめてください。攻撃者が消していることが多くあります",
    "check from a clean machine whether shadow copies, snapshots, backups or earlier versions in the cloud are left; "
    "attackers often delete them")
_WHOLE = Text("見たファイルは全体が暗号化されています。鍵なしで読める部分は見つかりませんでした",
              "the files looked at are encrypted throughout; no part was found that can be read without the key")
_GAPS = Text(
    "暗号化されていない部分が残るファイルがあります。文字や記録の断片を取り出せるかもしれませんが、使えるかどうかは試すまでわかりません",
    "some files have parts that aren't encrypted; pieces of text or records may be taken from them, "
    "but whether they are of use is known only after trying")
_MEMBERS = Text(
    "ZIP、Office、PDFの中に、検査値の合う部分が残っています。その部分の文書や画像を取り出せるかもしれません",
    "parts inside zip, Office or PDF files still pass their own check; "
    "documents or pictures may be extracted from them")
_RECORDS = Text(
    "データベースや仮想ディスクに暗号化されていない部分があります。専門の業者や道具で一部の記録を取り出せることがあります",
    "databases or virtual disks have parts that aren't encrypted; specialists or tools can sometimes extract records")
_RENAMED = Text(
    "名前だけが変わり、見た範囲では暗号化されていないファイルがあります。写しの名前を戻すと開くかもしれません",
    "some files were renamed but, as far as was looked at, not encrypted; a copy may open under its old name")


def recovery(files: Sequence[FileFacts]) -> tuple[Text, ...]:
    """Sentences for the files of a case; none where nothing is encrypted."""
    if not any(facts.is_encrypted for facts in files):
        return ()
    looked = [(facts, facts.encryption) for facts in files if facts.encryption is not None]
    partly = [(facts, found) for facts, found in looked if found.pattern in _PARTLY]
    told = [_COPY_FIRST, _ELSEWHERE]
    if partly:
        told.append(_GAPS)
    if any(_kind(facts) in _PACKAGES and "C" in found.row for facts, found in partly):
        told.append(_MEMBERS)
    if any(_kind(facts) in _STORES for facts, _ in partly):
        told.append(_RECORDS)
    if any(facts.added and found.pattern == "untouched" for facts, found in looked):
        told.append(_RENAMED)
    if looked and all(found.pattern == "full" for _, found in looked):
        told.append(_WHOLE)
    return tuple(told)


def _kind(facts: FileFacts) -> str:
    return facts.original.rpartition(".")[2].lower()
