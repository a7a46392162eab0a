"""Why something was not read, in plain words, Japanese and English."""

from __future__ import annotations

from hikeshi.errors import HikeshiError
from hikeshi.model.text import Text

LINK = Text("リンクのため、たどりません。", "A link; links are not followed.")
SPECIAL = Text("ふつうのファイルではない(デバイス・パイプ・ソケット)ため、読みません。",
               "Not an ordinary file (a device, pipe or socket).")
ENCRYPTED = Text("パスワードで暗号化されています。解凍して渡してください。",
                 "Encrypted with a password: unpack it and give the content.")
OVERLAP = Text("ほかの項目と重なっています(壊れているか、解凍爆弾です)。",
               "It overlaps another entry: damaged, or a decompression bomb.")
NO_DATA = Text("中身が見つかりません(書庫が途中で切れています)。",
               "Its content is missing: the archive is cut off.")
BOMB = Text("異常に大きく展開されるため、止めました(解凍爆弾のおそれ)。",
            "It unpacks to far more than it holds; stopped, it may be a decompression bomb.")
TOO_DEEP = Text("書庫が何重にも入れ子になっているため、開きません。", "Archives nested too deeply; not opened.")
TOTAL = Text("展開した合計が上限を超えるため、開きません。", "What was unpacked exceeds the total limit; not opened.")
DISK_FULL = Text("作業フォルダーの空きが足りません。", "The work folder's disk is full.")
UNREADABLE_FOLDER = Text("フォルダーを開く権限がありません。", "No permission to open the folder.")
WORK_FOLDER = Text("Hikeshi の作業フォルダーのため、読みません。", "Hikeshi's own work folder; not read.")
NOT_FOUND = Text("見つかりません。", "Not found.")


def too_many(limit: int) -> Text:
    return Text(f"数が上限({limit:,})を超えるため、残りは開きません。",
                f"More than {limit:,} entries; the rest is not opened.")


def too_large(limit: int) -> Text:
    return Text(f"大きさが上限({limit:,} バイト)を超えます。", f"Larger than the limit of {limit:,} bytes.")


def unknown_container(name: str) -> Text:
    return Text(f"この形式の書庫({name})は開けません。解凍して渡してください。",
                f"Archives of this format ({name}) can't be opened; unpack it and give the content.")


def unknown_method(method: int) -> Text:
    return Text(f"知らない圧縮方式(番号 {method})です。", f"Unknown compression method (number {method}).")


def from_error(error: HikeshiError) -> Text:
    """What a child's error means for the reader; the English sentence is kept as the detail."""
    return Text(f"読めませんでした({error.what})。", f"Could not be read: {error.what}.")


def from_os(error: OSError) -> Text:
    detail = error.strerror or type(error).__name__
    return Text(f"読めません({detail})。", f"Can't be read: {detail}.")
