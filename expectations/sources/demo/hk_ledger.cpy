      ******************************************************************
      * The day's turnover of the agent's ledger in Hong Kong.         *
      * H opens the file, L is a subject, T closes it.                 *
      ******************************************************************
       01  LEDGER-RECORD.
           05  RECORD-KIND               PIC X.
           05  TURNOVER.
               10  SUBJECT               PIC X(6).
               10  SUBJECT-NAME          PIC X(24).
               10  AS-OF                 PIC 9(8).
               10  CURRENCY              PIC X(3).
               10  ENTRIES               PIC 9(4) COMP.
               10  DEBIT                 PIC S9(11)V99 COMP-3.
               10  CREDIT                PIC S9(11)V99 COMP-3.
               10  NET                   PIC S9(11)V99 COMP-3.
           05  FILE-HEADER REDEFINES TURNOVER.
               10  SYSTEM                PIC X(4).
               10  AGENT                 PIC X(6).
               10  BUSINESS-DATE         PIC 9(8).
           05  FILE-TRAILER REDEFINES TURNOVER.
               10  RECORD-COUNT          PIC 9(8).
               10  AMOUNT-SUM            PIC S9(13)V99 COMP-3.
