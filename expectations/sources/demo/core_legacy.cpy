      ******************************************************************
      * Accounts that two provinces still keep on the old mainframe.   *
      * H opens the file, A is an account, T closes it.                *
      ******************************************************************
       01  LEGACY-RECORD.
           05  RECORD-KIND               PIC X.
           05  ACCOUNT.
               10  ACCOUNT-NO            PIC X(12).
               10  HOLDER                PIC X(40).
               10  OPENED-ON             PIC 9(6).
               10  AS-OF                 PIC 9(8).
               10  CURRENCY              PIC X(3).
               10  BALANCE               PIC S9(11)V99 COMP-3.
               10  OVERDRAFT-LIMIT       PIC S9(7)V99.
               10  BRANCH-NO             PIC 9(4) COMP.
               10  STATUS                PIC X.
               10  HOLDS                 PIC 9(2).
               10  HOLD OCCURS 0 TO 3 TIMES DEPENDING ON HOLDS.
                   15  REASON            PIC X(2).
                   15  AMOUNT            PIC S9(7)V99 COMP-3.
           05  FILE-HEADER REDEFINES ACCOUNT.
               10  SYSTEM                PIC X(4).
               10  PROVINCE              PIC X(6).
               10  BUSINESS-DATE         PIC 9(8).
           05  FILE-TRAILER REDEFINES ACCOUNT.
               10  RECORD-COUNT          PIC 9(8).
               10  AMOUNT-SUM            PIC S9(13)V99 COMP-3.
