"""Logs in the forms of published data sets: taken as they are, or refused with flags.

The right actions stand beside each log; times were converted by `date -u`.
"""

import re
import shlex

import pytest

from beam_jobs.logs.files import InputError
from beam_jobs.logs.formats import decide_format
from beam_jobs.logs.parsers import make_parser
from beam_jobs.logs.reading import read_records
from beam_jobs.options import parse_args


def lines(*rows):
    return "".join(row + "\n" for row in rows)


def read(path, *flags):
    """All actions of a log as (user, item, milliseconds); a bad line is an error."""
    options = parse_args(["--input", "x", "--output", "y", *flags]).format_options
    line_format = decide_format(str(path), options).line_format
    parse = make_parser(line_format, with_rating=False)
    return [
        tuple(interaction[:3])
        for record in read_records(str(path), line_format)
        for interaction in parse(record.content)
    ]


TAKEN = {
    "RecBole .inter": (
        lines(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            "196\t242\t3\t881250949",
            "186\t302\t3\t891717742",
        ),
        [],
        [("196", "242", 881250949000), ("186", "302", 891717742000)],
    ),
    "RecBole .inter of sessions": (
        lines(
            "session_id:token\titem_id:token\ttimestamp:float", "1\t7\t1396861869.277"
        ),
        [],
        [("1", "7", 1396861869277)],
    ),
    "RecBole by name": (
        lines("user_id:token,item_id:token,timestamp:float", "1,2,881250949"),
        ["--format=csv", "--columns=user=user_id,item=item_id,time=timestamp"],
        [("1", "2", 881250949000)],
    ),
    "MovieLens from a spreadsheet": (
        "\ufeffuserId;movieId;rating;timestamp\r\n1;31;2,5;964982703\r\n;;;\r\n",
        [],
        [("1", "31", 964982703000)],
    ),
    "MovieLens with dates": (
        lines("userId,movieId,rating,timestamp", "1,31,2.5,2000-07-30 18:45:03"),
        [],
        [("1", "31", 964982703000)],
    ),
    "MovieLens, quoted": (
        lines('"userId","movieId","rating","timestamp"', '"1","31","2.5","964982703"'),
        [],
        [("1", "31", 964982703000)],
    ),
    "u.data divided by blanks": (
        lines("196 242 3 881250949", "186 302 3 891717742"),
        [],
        [("196", "242", 881250949000), ("186", "302", 891717742000)],
    ),
    "Amazon 2023 CSV": (
        lines(
            "user_id,parent_asin,rating,timestamp",
            "AFKZENTNBQ7A7V7UXW5JJI6UGRYQ,B08KYJLF5T,5.0,1588687728923",
        ),
        [],
        [("AFKZENTNBQ7A7V7UXW5JJI6UGRYQ", "B08KYJLF5T", 1588687728923)],
    ),
    "Amazon 2014 CSV with a header": (
        lines(
            "UserId,ProductId,Rating,Timestamp",
            "A39HTATAQ9V7YF,0205616461,5.0,1369699200",
        ),
        [],
        [("A39HTATAQ9V7YF", "0205616461", 1369699200000)],
    ),
    "carriage returns": (
        "who,what,when\ru1,i1,1600000000\ru2,i1,1600000001\r",
        ["--format=csv", "--columns=user=who,item=what,time=when"],
        [("u1", "i1", 1600000000000), ("u2", "i1", 1600000001000)],
    ),
    "semicolons, all quoted": (
        lines('"who";"what";"when"', '"u;1";"i""1";"1600000000"'),
        ["--format=csv", "--columns=user=who,item=what,time=when"],
        [("u;1", 'i"1', 1600000000000)],
    ),
    "pipes": (
        lines("who|what|when", "u1|i1|1600000000"),
        ["--format=csv", "--columns=user=who,item=what,time=when"],
        [("u1", "i1", 1600000000000)],
    ),
    "double colons with a header": (
        lines("who::what::when", "u1::i1::1600000000"),
        ["--format=csv", "--columns=user=who,item=what,time=when"],
        [("u1", "i1", 1600000000000)],
    ),
    "blanks of any number": (
        lines("who  what   when", "u1   i1 1600000000", "u2 i1\t1600000001"),
        ["--format=csv", "--columns=user=who,item=what,time=when"],
        [("u1", "i1", 1600000000000), ("u2", "i1", 1600000001000)],
    ),
    "another delimiter": (
        lines("who^what^when", "u1^i1^1600000000"),
        ["--format=csv", "--columns=user=who,item=what,time=when", "--delimiter=^"],
        [("u1", "i1", 1600000000000)],
    ),
    "positions below a header": (
        lines("who\twhat\twhen", "u1\ti1\t1600000000"),
        ["--format=csv", "--columns=user=0,item=1,time=2"],
        [("u1", "i1", 1600000000000)],
    ),
    "missing ids": (
        lines("user,item,time", "NA,A,2016-01-01", ",A,2016-01-01", "u1,A,2016-01-01"),
        [
            "--format=csv",
            "--columns=user=user,item=item,time=time",
            "--null_ids",
            "NA",
            "",
        ],
        [("u1", "A", 1451606400000)],
    ),
    "commas and line breaks in quotes": (
        lines(
            "Invoice,StockCode,Description,InvoiceDate,Customer",
            '536365,85123A,"HEART, ""T-LIGHT""\n1,2,3,12/1/2010 8:26,u9",'
            "12/1/2010 8:26,17850",
            "536366,22633,HAND WARMER,12/13/2010 10:03,17851",
        ),
        [
            "--format=csv",
            "--columns=user=Customer,item=StockCode,time=InvoiceDate",
            "--time_format=%m/%d/%Y %H:%M",
        ],
        [("17850", "85123A", 1291191960000), ("17851", "22633", 1292234580000)],
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_log_is_taken(tmp_path, name):
    content, flags, expected = TAKEN[name]
    path = tmp_path / "log"
    path.write_text(content, newline="")
    assert read(path, *flags) == expected


REFUSED = {
    "GRU4Rec": (
        lines("SessionId\tItemId\tTime", "1\t214536502\t1396861869.277"),
        [("1", "214536502", 1396861869277)],
    ),
    "YooChoose": (
        lines(
            "1,2014-04-07T10:51:09.277Z,214536502,0",
            "2,2014-04-07T13:56:37.614Z,214662742,0",
        ),
        [("1", "214536502", 1396867869277), ("2", "214662742", 1396878997614)],
    ),
    "Retailrocket": (
        lines(
            "timestamp,visitorid,event,itemid,transactionid",
            "1433221332117,257597,view,355908,",
        ),
        [("257597", "355908", 1433221332117)],
    ),
    "Diginetica": (
        lines(
            "sessionId;userId;itemId;timeframe;eventdate",
            "1;NA;81766;526309;2016-05-09",
        ),
        [("1", "81766", 1462752000000)],
    ),
    "Online Retail": (
        lines(
            "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID",
            '536365,85123A,"HANGING HEART, WHITE",6,12/1/2010 8:26,2.55,17850',
            "536366,22633,HAND WARMER,6,12/13/2010 10:03,1.85,17851",
        ),
        [("17850", "85123A", 1291191960000), ("17851", "22633", 1292234580000)],
    ),
    "Gowalla": (
        lines("0\t2010-10-19T23:55:27Z\t30.2359091167\t-97.7951395833\t22847"),
        [("0", "22847", 1287532527000)],
    ),
    "Foursquare": (
        lines(
            "470\t49bbd6c0f964a520f4531fe3\tArts & Crafts Store\t40.7\t-74.0\t-240\t"
            "Tue Apr 03 18:00:09 +0000 2012"
        ),
        [("470", "49bbd6c0f964a520f4531fe3", 1333476009000)],
    ),
    "H&M": (
        lines(
            "t_dat,customer_id,article_id,price,sales_channel_id",
            "2018-09-20,000058a12d5b43e6,0663713001,0.0508,2",
        ),
        [("000058a12d5b43e6", "0663713001", 1537401600000)],
    ),
    "KuaiRec": (
        lines(
            "user_id,video_id,play_duration,time,date,timestamp,watch_ratio",
            "0,3649,13838,2020-07-05 00:08:23.438,20200705.0,1593878903.438,1.27",
        ),
        [("0", "3649", 1593878903438)],
    ),
    "Goodreads": (
        lines(
            '{"user_id": "8842281e", "book_id": "2452", "rating": 5, '
            '"date_added": "Fri Apr 10 14:12:45 -0700 2015"}'
        ),
        [("8842281e", "2452", 1428700365000)],
    ),
    "Yelp": (
        lines(
            '{"review_id": "K", "user_id": "mh", "business_id": "XQ", "stars": 3.0, '
            '"text": "Fine,\\nif \\"loud\\"", "date": "2018-07-07 22:09:11"}'
        ),
        [("mh", "XQ", 1531001351000)],
    ),
    "LastFM listening, times in milliseconds": (
        lines("userID\tartistID\ttagID\ttimestamp", "2\t52\t130\t1238536800000"),
        [("2", "52", 1238536800000)],
    ),
    "three columns": (
        lines("u1\ti1\t1600000000", "u2\ti2\t1600000100"),
        [("u1", "i1", 1600000000000), ("u2", "i2", 1600000100000)],
    ),
    "three columns by blanks": (
        lines("u1 i1 1600000000", "u2 i2 1600000100"),
        [("u1", "i1", 1600000000000), ("u2", "i2", 1600000100000)],
    ),
    "dates in digits": (
        lines("user,item,day", "u1,i1,20160131"),
        [("u1", "i1", 1454198400000)],
    ),
    "microseconds": (
        lines("user|item|at", "u1|i1|1600000000123456"),
        [("u1", "i1", 1600000000123)],
    ),
    "European dates": (
        lines("user;item;date", "u1;i1;31.01.2016 13:05", "u1;i2;01.02.2016 13:05"),
        [("u1", "i1", 1454245500000), ("u1", "i2", 1454331900000)],
    ),
}


def flags_of(message):
    """The flags in the last command of a message."""
    command = re.findall(r"`(--format (?:csv|json) .*?)`", message)[-1]
    return shlex.split(command)


@pytest.mark.parametrize("name", REFUSED)
def test_the_flags_of_a_refusal_read_the_log(tmp_path, name):
    content, expected = REFUSED[name]
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(InputError, match="fits none of the formats") as caught:
        read(path)
    assert read(path, *flags_of(str(caught.value))) == expected
